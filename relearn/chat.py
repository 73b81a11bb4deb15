"""An instruction as the model sees it: chat template, prompt, and where the response begins.

The tokenizer's own chat template is used where it has one, else the profile's
(https://huggingface.co/docs/transformers/chat_templating). The template's text already holds the special
tokens, so it is tokenized without adding any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from jinja2 import TemplateError

from relearn.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Chat:
    """Renders instructions for one tokenizer.

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
        prompt, whole = self._render([_user("a")], True), self._render([_user("a"), _assistant("b")], False)
        if not whole.startswith(prompt) or whole == prompt:
            raise InputError(
                "chat.template: a conversation does not start with its prompt; "
                "with add_generation_prompt the template must end where the response begins"
            )

    def _render(self, messages: list[dict[str, str]], open_response: bool) -> str:
        try:
            text = self.tokenizer.apply_chat_template(
                messages, chat_template=self.template, tokenize=False, add_generation_prompt=open_response
            )
        except TemplateError as error:
            raise InputError(f"chat.template: {str(error).splitlines()[0]}") from None
        return cast(str, text)

    def render_prompt(self, instruction: str) -> str:
        """The text the model continues: it ends where the response begins."""
        return self._render([_user(instruction)], True)

    def encode_prompt(self, instruction: str) -> list[int]:
        """The prompt's tokens. The text of a special token inside the instruction stays text."""
        if not any(token in instruction for token in self.tokenizer.all_special_tokens):
            return self._ids(self.render_prompt(instruction))
        before, after = self.render_prompt(_SENTINEL).split(_SENTINEL)
        return [*self._ids(before), *self._ids(instruction, plain=True), *self._ids(after)]

    def encode_response(self, response: str) -> list[int]:
        """The response's tokens, and the end token."""
        return [*self._ids(response, plain=True), self.end]

    def _ids(self, text: str, plain: bool = False) -> list[int]:
        encoded = self.tokenizer(text, add_special_tokens=False, split_special_tokens=plain)
        return cast(list[int], encoded["input_ids"])


# A text no instruction holds, to find where the template puts it.
_SENTINEL = "\x02instruction\x03"


def _user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def _assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}
