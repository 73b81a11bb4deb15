"""A conversation as the model sees it: chat template, tokens, which of them a model learns, and where an answer ends.

The tokenizer's own chat template is used where it has one, else the profile's
(https://huggingface.co/docs/transformers/chat_templating). The template's text already holds the special
tokens, so it is tokenized without adding any. Training, decoding and likelihoods all take the end of an answer from
here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from jinja2 import TemplateError

from relearn.errors import InputError, first_line
from relearn.reasoning import take_off_reasoning
from relearn.records import Message, show_turns

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TrainOn = Literal["last", "all"]
DATE = "2026-01-01"  # where none is given; never today's, so that a run repeats
OWN = ("messages", "tools", "documents", "add_generation_prompt")  # what a template gets in any case


@dataclass(frozen=True)
class Answer:
    """What a model wrote: the text without prompt and reasoning, whether an end or the limit ended it, and the raw text
    where reasoning was removed.
    """

    text: str
    finish_reason: Literal["stop", "length"]
    raw: str | None = None


class Chat:
    """Renders conversations for one tokenizer.

    `arguments` go to the template (`enable_thinking: false`), `date` (YYYY-MM-DD) is what it takes for today. `stops`
    are tokens that end an answer besides the tokenizer's end token and those that the template puts after an
    assistant's turn.

    `end` are the tokens that close an answer, learned and scored with it: the template's own, or the tokenizer's end
    token where the template writes none. `stops` are all tokens at which decoding stops, `stop_text` the text of an end
    that this tokenizer has no token for, else None.

    Raises InputError on construction when the tokenizer has no end token, when the template does not render a
    conversation that starts with its prompt, or does not know an argument.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        template: str,
        arguments: Mapping[str, Any] | None = None,
        date: str = DATE,
        stops: Collection[int] = (),
    ) -> None:
        self.tokenizer = tokenizer
        own = choose_template(tokenizer.chat_template, str(tokenizer.name_or_path))
        self.template = own or template
        foreign = own and own != template and tokenizer.name_or_path
        self.source = f"the chat template of {tokenizer.name_or_path}" if foreign else "chat.template"
        self.arguments, self.today = dict(arguments or {}), datetime.fromisoformat(date)
        if tokenizer.eos_token_id is None:
            raise InputError(
                f"{tokenizer.name_or_path}: the tokenizer has no end token; set eos_token in its tokenizer_config.json"
            )
        self._compiled = self._compile()
        opened = self.render_prompt(_PROMPT)
        before, after = self._around_answer(_PROMPT)
        self._thought = _find_open_thought(opened)
        # A template may open the answer with a thought that it leaves out of a finished conversation (DeepSeek-R1).
        fits = before.startswith(opened) or (self._thought and opened.startswith(before))
        if not opened or not fits:
            raise InputError(f"{self.source}: {_OTHER_SHAPE}")
        self._special = self._find_special()
        closing = _through_first(after, self._special)
        self._end_text = closing or after.rstrip()
        self.stop_text = None if closing else self._end_text.strip() or None
        self._last_words = "" if self.stop_text else _without_last(self._end_text, self._special).strip()
        self.end = self._ids_after(self._end_text) if self._end_text else [cast(int, tokenizer.eos_token_id)]
        self.stops = {cast(int, tokenizer.eos_token_id), *stops}
        for text in (closing, _through_first(self._between_turns(), self._special)):
            self.stops |= {*self._ids(text)[-1:]}
        self._marks = {
            cast(int, tokenizer.convert_tokens_to_ids(token))
            for token in tokenizer.all_special_tokens
            if token in _CHANNELS or take_off_reasoning(f"{token}\na")[1]
        }

    def _compile(self) -> Any:
        """The template as transformers compiles it (and keeps it), to which `_render` gives the date."""
        from transformers.utils.chat_template_utils import _compile_jinja_template, _get_template_variables

        try:
            compiled = _compile_jinja_template(self.template)
            known = _get_template_variables(self.template)
        except TemplateError as error:
            raise InputError(f"{self.source}: {first_line(error)}") from None
        for name in self.arguments:
            if name in OWN or name not in known:
                used = sorted(known - {*OWN, *compiled.globals, *self.tokenizer.special_tokens_map})
                raise InputError(
                    f"chat.arguments: {name}: {self.source} does not take it; it takes {', '.join(used) or 'none'}"
                )
        return compiled

    def _render(self, messages: Sequence[Message], open_response: bool) -> str:
        # `apply_chat_template` lets no function through; the compiled template is the one that it uses.
        self._compiled.globals["strftime_now"] = self.today.strftime
        try:
            text = self.tokenizer.apply_chat_template(
                [message.model_dump() for message in messages],
                chat_template=self.template,
                tokenize=False,
                add_generation_prompt=open_response,
                **self.arguments,
            )
        except Exception as error:  # a template is a program, and raises what it likes
            raise InputError(f"{self.source}: {first_line(error)}") from error
        return cast(str, text)

    def _around_answer(self, prompt: Sequence[Message]) -> tuple[str, str]:
        """What the template puts before and after the answer to a prompt, in a conversation that ends there."""
        answer = Message(role="assistant", content=_MARKED.format(len(prompt)))
        before, found, after = self._render([*prompt, answer], False).rpartition(answer.content)
        if not found:
            raise InputError(f"{self.source}: {_OTHER_SHAPE}")
        return before, after

    def _between_turns(self) -> str:
        """What the template puts between an answer and the next question."""
        answer, after = Message(role="assistant", content=_MARKED.format(1)), Message(role="user", content="b")
        whole = self._render([*_PROMPT, answer, after], False)
        return whole.rpartition(answer.content)[2].rpartition("b")[0]

    def _find_special(self) -> set[str]:
        """The texts of tokens that are not ordinary text; the runs of spaces that some tokenizers add are ordinary."""
        added = (token.content for token in self.tokenizer.added_tokens_decoder.values())
        return {token for token in (*self.tokenizer.all_special_tokens, *added) if token.strip()}

    def render_prompt(self, messages: Sequence[Message]) -> str:
        """The text the model continues: it ends where the response begins."""
        return self._render(messages, True)

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """The prompt's tokens. The text of a special token inside a message stays text."""
        marked = _mark(messages, self._hostile(messages))
        return self._fill(self._render(marked, True), messages)

    def encode_context(self, messages: Sequence[Message]) -> list[int]:
        """What comes before the answer in a finished conversation; a given answer's likelihood is measured after it.

        It is the prompt, but for templates that close or leave out an empty thought there.
        """
        return self._fill(self._around_answer(_mark(messages, self._hostile(messages)))[0], messages)

    def around_instruction(self) -> tuple[list[int], str]:
        """What the template puts before a user's only turn, as tokens, and the text that closes that turn.

        Raises InputError where the template puts nothing before it.
        """
        asked = Message(role="user", content=_MARKED.format(0))
        before, found, after = self.render_prompt([asked]).partition(asked.content)
        ids = self._ids(before)
        if not found or not ids:
            raise InputError(
                f"{self.source}: puts nothing before a user's turn, so a model cannot be asked to write one; "
                "set finetune_2b.sample.prompts to new"
            )
        return ids, _through_first(after, self._special) or after.strip()

    def encode_response(self, response: str) -> list[int]:
        """The response's tokens, and those that end it."""
        return [*self._ids(response, plain=True), *self.end]

    def read_answer(self, tokens: Sequence[int]) -> Answer:
        """The answer in tokens that a model wrote; what follows the first end, padding too, is left out."""
        ended = next((at for at, token in enumerate(tokens) if token in self.stops), None)
        kept = list(tokens if ended is None else tokens[:ended])
        marked = not self._marks.isdisjoint(kept)
        text = str(self.tokenizer.decode(kept, skip_special_tokens=not marked))
        finish: Literal["stop", "length"] = "length" if ended is None else "stop"
        if self.stop_text and self.stop_text in text:
            text, finish = text.partition(self.stop_text)[0], "stop"
        elif ended is not None and self._last_words:
            text = text.rstrip().removesuffix(self._last_words)
        # Where the template has begun a thought, a turn that ends without closing it was no thought; a cut one is.
        answer, reasoned = take_off_reasoning((self._thought if finish == "length" else "") + text)
        if marked:
            for token in self.tokenizer.all_special_tokens:
                answer = answer.replace(token, "")
        return Answer(answer.strip(), finish, text.strip() if reasoned else None)

    def encode_conversation(self, messages: Sequence[Message], train_on: TrainOn) -> list[tuple[list[int], bool]]:
        """A conversation that ends with an assistant's turn, as runs of tokens and whether each run is learned.

        The assistant's last turn is learned, or all of its turns, each with the tokens that end it, and with what the
        template writes at its start and leaves out of a prompt (an empty thought). What the template puts after the
        last end is left out. Raises InputError for an empty turn, when the template renders the beginning of a
        conversation differently once later turns follow, and when it ends a learned turn differently from the last one.
        """
        last = len(messages) - 1
        answers = [
            at for at, one in enumerate(messages) if one.role == "assistant" and (train_on == "all" or at == last)
        ]
        if last not in answers:
            raise InputError("a training row does not end with the assistant's turn; end it with the answer to learn")
        marked = _mark(messages, {*answers, *self._hostile(messages[:last])})
        whole = self._render(marked, False)
        runs: list[tuple[list[int], bool]] = []
        start = 0
        for at in answers:
            opened = self._render(marked[:at], True)
            lead, found, _ = whole[len(opened) :].partition(marked[at].content)
            if not whole.startswith(opened) or not found or (lead and at != last):
                raise InputError(self._explain_other_rendering(opened, whole, marked, at))
            if start:
                between = whole[start : len(opened)]
                if not self._end_text or not between.startswith(self._end_text):
                    raise InputError(
                        f"{self.source}: an assistant's turn does not end as the last one does; set chat.train_on: last"
                    )
                runs.append((self._fill(between.removeprefix(self._end_text), messages), False))
            else:
                runs.append((self._fill(opened, messages), False))
            response = messages[at].content
            if not response:
                begin = show_turns(list(messages[:-1]))[:60]
                raise InputError(f"a training row has an empty response; its instruction begins {begin!r}")
            runs.append(([*(self._ids(lead) if lead else ()), *self.encode_response(response)], True))
            start = len(opened) + len(lead) + len(marked[at].content)
        return runs

    def _explain_other_rendering(self, opened: str, whole: str, marked: Sequence[Message], at: int) -> str:
        if self._thought and opened.startswith(whole.partition(marked[at].content)[0]):
            return (
                f"{self.source}: opens an answer with a thought that it drops from a finished conversation, so "
                "a model would never be asked for what it learns; switch thinking off (chat.arguments), or use another template"
            )
        return (
            f"{self.source}: the first {at} messages of a conversation of {len(marked)} are not rendered as "
            "its beginning; use a template that renders each message by itself"
        )

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

    def _ids_after(self, text: str) -> list[int]:
        """The tokens of a text that follows another: some tokenizers write a space before a text's first word."""
        first = self._ids("a")
        joined = self._ids("a" + text)
        return joined[len(first) :] if joined[: len(first)] == first else self._ids(text)


def choose_template(found: object, where: str) -> str | None:
    """The one of a tokenizer's chat templates that chats use: the only one, or of several the default one.

    `found` is the text, a dict by name, or a list of {name, template}. Raises InputError for anything else.
    """
    if found is None or isinstance(found, str):
        return found
    if isinstance(found, list) and all(isinstance(one, dict) and {"name", "template"} <= {*one} for one in found):
        found = {str(one["name"]): one["template"] for one in found}
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        kind = type(found).__name__
        raise InputError(
            f"{where}: chat_template is not text ({kind}); write a Jinja template, or {{name, template}} of each"
        )
    if "default" not in found and len(found) > 1:
        raise InputError(
            f"{where}: has the chat templates {', '.join(sorted(found))}, and none is the default; name one of them default"
        )
    return next(iter(found.values()), None) if "default" not in found else str(found["default"])


# Takes the place of a message's content in a rendered text, so that the content can be found and encoded apart.
_MARK = re.compile("\x02message (\\d+)\x03")
_MARKED = "\x02message {}\x03"
_OTHER_SHAPE = (
    "a conversation does not start with its prompt, or does not hold its answer; with add_generation_prompt the template "
    "must end where the response begins"
)
_PROMPT = [Message(role="user", content="a")]
_CHANNELS = ("<|channel|>", "<|message|>", "<|start|>")  # tokens that tell reasoning from the answer between them
_LAST_TAG = re.compile(r"(<[\w:|]+>|\[\w+\]|◁\w+▷)\s*\Z")


def _mark(messages: Sequence[Message], chosen: set[int]) -> list[Message]:
    return [
        Message(role=message.role, content=_MARKED.format(at)) if at in chosen else message
        for at, message in enumerate(messages)
    ]


def _find_open_thought(prompt: str) -> str:
    """The tag with which a prompt begins a thought, or nothing."""
    tag = _LAST_TAG.search(prompt)
    return f"{tag[1]}\n" if tag and take_off_reasoning(f"{tag[1]}\na") == ("", True) else ""


def _through_first(text: str, tokens: Collection[str]) -> str:
    """A text up to and with the first of some tokens in it; nothing where it holds none."""
    ends = [(at, at + len(token)) for token in tokens if (at := text.find(token)) >= 0]
    return text[: min(ends, key=lambda end: (end[0], -end[1]))[1]] if ends else ""


def _without_last(text: str, tokens: Collection[str]) -> str:
    """A text that ends with one of some tokens, without it."""
    return text.removesuffix(max((token for token in tokens if text.endswith(token)), key=len, default=""))
