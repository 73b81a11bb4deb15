"""A conversation as the model sees it: chat template, tokens, and which of them a model learns.

The tokenizer's own chat template is used where it has one, else the profile's
(https://huggingface.co/docs/transformers/chat_templating). The template's text already holds the special
tokens, so it is tokenized without adding any.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast

from jinja2 import TemplateError

from relearn.errors import InputError
from relearn.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TrainOn = Literal["last", "all"]


class Chat:
    """Renders conversations for one tokenizer.

    Raises InputError on construction when the tokenizer has no end token, or when the template does not render a
    conversation that starts with its prompt.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str) -> None:
        self.tokenizer = tokenizer
        self.template = cast(str | None, tokenizer.chat_template) or template
        if tokenizer.eos_token_id is None:
            raise InputError(
                f"{tokenizer.name_or_path}: the tokenizer has no end token; set eos_token in its tokenizer_config.json"
            )
        self.end = cast(int, tokenizer.eos_token_id)
        prompt = [Message(role="user", content="a")]
        opened = self.render_prompt(prompt)
        whole = self._render([*prompt, Message(role="assistant", content="b")], False)
        if not whole.startswith(opened) or whole == opened:
            raise InputError(
                "chat.template: a conversation does not start with its prompt; "
                "with add_generation_prompt the template must end where the response begins"
            )

    def _render(self, messages: Sequence[Message], open_response: bool) -> str:
        try:
            text = self.tokenizer.apply_chat_template(
                [message.model_dump() for message in messages],
                chat_template=self.template,
                tokenize=False,
                add_generation_prompt=open_response,
            )
        except TemplateError as error:
            raise InputError(f"chat.template: {str(error).splitlines()[0]}") from None
        return cast(str, text)

    def render_prompt(self, messages: Sequence[Message]) -> str:
        """The text the model continues: it ends where the response begins."""
        return self._render(messages, True)

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """The prompt's tokens. The text of a special token inside a message stays text."""
        marked = _mark(messages, self._hostile(messages))
        return self._fill(self._render(marked, True), messages)

    def encode_response(self, response: str) -> list[int]:
        """The response's tokens, and the end token."""
        return [*self._ids(response, plain=True), self.end]

    def encode_conversation(self, messages: Sequence[Message], train_on: TrainOn) -> list[tuple[list[int], bool]]:
        """A conversation that ends with an assistant's turn, as runs of tokens and whether each run is learned.

        The assistant's last turn is learned, or all of its turns, each with the end token. What the template puts
        after the last end token is left out. Raises InputError when the template renders a beginning of the
        conversation, as it is when that turn is answered, otherwise than in the whole, or ends a turn that is
        learned otherwise than with the end token.
        """
        last = len(messages) - 1
        answers = [
            at for at, one in enumerate(messages) if one.role == "assistant" and (train_on == "all" or at == last)
        ]
        if last not in answers:
            raise InputError("a training row does not end with the assistant's turn; end it with what is to be learned")
        marked = _mark(messages, {*answers, *self._hostile(messages[:last])})
        whole = self._render(marked, False)
        end = str(self.tokenizer.eos_token)
        runs: list[tuple[list[int], bool]] = []
        start = 0
        for at in answers:
            opened = self._render(marked[:at], True)
            follows = whole[len(opened) :].startswith(marked[at].content) or at == last
            if not whole.startswith(opened) or not follows:
                raise InputError(
                    f"chat.template: the first {at} messages of a conversation of {len(messages)} are not rendered as "
                    "its beginning; use a template that renders each message by itself"
                )
            if start:
                between = whole[start : len(opened)].lstrip()
                if not between.startswith(end):
                    raise InputError(
                        f"chat.template: an assistant's turn does not end with the end token {end}; "
                        "set chat.train_on: last"
                    )
                runs.append((self._fill(between.removeprefix(end), messages), False))
            else:
                runs.append((self._fill(opened, messages), False))
            runs.append((self.encode_response(messages[at].content), True))
            start = len(opened) + len(marked[at].content)
        return runs

    def _hostile(self, messages: Sequence[Message]) -> set[int]:
        """All messages where any holds the text of a special token (or of a mark), else none."""
        special = self.tokenizer.all_special_tokens
        found = any(_MARK.search(one.content) or any(token in one.content for token in special) for one in messages)
        return set(range(len(messages))) if found else set()

    def _fill(self, text: str, messages: Sequence[Message]) -> list[int]:
        """The tokens of a rendered text, marks replaced by the tokens of their messages, taken as plain text."""
        found: list[int] = []
        for number, part in enumerate(_MARK.split(text)):  # every second part is a mark's number
            found += self._ids(messages[int(part)].content, plain=True) if number % 2 else self._ids(part)
        return found

    def _ids(self, text: str, plain: bool = False) -> list[int]:
        encoded = self.tokenizer(text, add_special_tokens=False, split_special_tokens=plain)
        return cast(list[int], encoded["input_ids"])


# Takes the place of a message's content in a rendered text, so that the content can be found and encoded apart.
_MARK = re.compile("\x02message (\\d+)\x03")


def _mark(messages: Sequence[Message], chosen: set[int]) -> list[Message]:
    return [
        Message(role=message.role, content=f"\x02message {at}\x03") if at in chosen else message
        for at, message in enumerate(messages)
    ]
