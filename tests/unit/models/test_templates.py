"""Chat templates as models bring them: where an answer ends, what is thought before it, dates, arguments, several names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from relearn.chat import Chat, choose_template
from relearn.decoding import local
from relearn.decoding.items import Prompt
from relearn.decoding.local import decode
from relearn.errors import InputError
from relearn.models import load_base, load_chat
from relearn.records import make_turns
from tests.unit import tiny
from tests.unit.models.alone import edit, make_base

ASKED = make_turns("Say one.")


def words(*special: str, plain: tuple[str, ...] = (), eos: str = "<|end|>") -> PreTrainedTokenizerBase:
    """The tiny tokenizer with further tokens and without a template."""
    tokenizer = tiny.tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": [*tokenizer.all_special_tokens, *special]})
    tokenizer.add_tokens(list(plain))
    tokenizer.eos_token = eos
    tokenizer.chat_template = None  # type: ignore[assignment]
    return tokenizer


def template(
    turn: str, opening: str = "<|assistant|>\n", question: str = "<|user|>\n{{ m.content }}<|user-end|>\n"
) -> str:
    return (
        "{% for m in messages %}{% if m.role == 'user' %}" + question + "{% else %}" + turn + "{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}" + opening + "{% endif %}"
    )


CONTENT = "<|assistant|>\n{{ m.content }}"
# What the template puts after an assistant's turn, the tokenizer's end token: what is learned, and what stops.
ENDS: dict[str, tuple[str, str, str, set[str]]] = {
    "the end token itself": (f"{CONTENT}<|end|>\n", "<|end|>", "<|end|>", {"<|end|>"}),
    "another token, as Gemma's and ChatML's": (f"{CONTENT}<turn>\n", "<|end|>", "<turn>", {"<|end|>", "<turn>"}),
    "two, of which the first ends the turn": (f"{CONTENT}<turn><|end|>", "<|end|>", "<turn>", {"<|end|>", "<turn>"}),
    "a space first, as Llama-2's": (f"{CONTENT} <|end|>", "<|end|>", " <|end|>", {"<|end|>"}),
    "a line end first": (f"{CONTENT}\n<turn>\n", "<|end|>", "\n<turn>", {"<|end|>", "<turn>"}),
    "words first": (f"{CONTENT} over<turn>", "<|end|>", " over<turn>", {"<|end|>", "<turn>"}),
    "a token that is not special": (f"{CONTENT}<close>\n", "<|end|>", "<close>", {"<|end|>", "<close>"}),
    "nothing": (f"{CONTENT}", "<|end|>", "<|end|>", {"<|end|>", "<|user|>"}),
    "a line end": (f"{CONTENT}\n", "<|end|>", "<|end|>", {"<|end|>", "<|user|>"}),
    "nothing after the last turn": (
        CONTENT + "{% if not loop.last %}<turn>\n{% endif %}", "<|end|>", "<|end|>", {"<|end|>", "<turn>"},
    ),
    "a trimmed answer": ("<|assistant|>\n{{ m.content | trim }}<turn>", "<|end|>", "<turn>", {"<|end|>", "<turn>"}),
    "eos as a variable": (f"{CONTENT}{{{{ eos_token }}}}", "<turn>", "<turn>", {"<turn>"}),
    "no header": ("{{ m.content }}<turn>", "<|end|>", "<turn>", {"<|end|>", "<turn>"}),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
def test_where_an_answer_ends(case: str) -> None:
    turn, eos, learned, stops = ENDS[case]
    tokenizer = words("<turn>", plain=("<close>", "   "), eos=eos)
    chat = Chat(tokenizer, template(turn, "" if case == "no header" else "<|assistant|>\n"))
    response = chat.encode_response("one")
    assert tokenizer.decode(response) == f"one{learned}"
    assert {tokenizer.decode([token]) for token in chat.stops} == stops
    assert chat.stop_text is None
    [_, (ids, is_learned)] = chat.encode_conversation([*ASKED, *make_turns("x", "one")[1:]], "last")
    assert (ids, is_learned) == (response, True)  # training and likelihood see the same
    answer = chat.read_answer([*response, *response])
    assert (answer.text, answer.finish_reason, answer.raw) == ("one", "stop", None)
    assert chat.read_answer(response[: -len(chat.end)]).finish_reason == "length"
    for stop in chat.stops:
        assert chat.read_answer([*response[: -len(chat.end)], stop, *response]).text == "one"


def test_all_turns_are_learned_with_the_templates_end() -> None:
    tokenizer = words("<turn>")
    chat = Chat(tokenizer, template(f"{CONTENT} over<turn>\n"))
    turns = [*make_turns("a", "one"), *make_turns("b", "two")]
    learned = [tokenizer.decode(ids) for ids, is_learned in chat.encode_conversation(turns, "all") if is_learned]
    assert learned == ["one over<turn>", "two over<turn>"]


def test_the_ends_of_the_generation_config_count(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base", "llama")
    end, user, system = (
        tiny.tokenizer().convert_tokens_to_ids(token) for token in ("<|end|>", "<|user|>", "<|system|>")
    )
    for given, stops in ((user, {end, user}), ([user, system], {end, user, system}), (..., {end})):
        edit(base / "generation_config.json", eos_token_id=given)
        assert load_chat(base, "").stops == stops
    (base / "generation_config.json").unlink()
    edit(base / "config.json", eos_token_id=[system])
    assert load_chat(base, "").stops == {end, system}


@pytest.mark.parametrize("strategy", ["own", "generate"])
def test_decoding_stops_at_any_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str) -> None:
    base = make_base(tmp_path / "base", "llama")
    model, chat = load_base(base, "cpu"), load_chat(base, "")
    items = [Prompt(make_turns(f"Say {word}."), 12, None) for word in tiny.WORDS]
    if strategy == "generate":
        monkeypatch.setattr(local.greedy, "supports", lambda _: False)
    written: list[list[int]] = []
    read = chat.read_answer
    monkeypatch.setattr(chat, "read_answer", lambda row: written.append(list(row)) or read(row))  # type: ignore[func-returns-value]
    decode(model, chat, items, 4, "free")
    third, fifth = written[0][2], written[1][4]
    edit(base / "generation_config.json", eos_token_id=[third, fifth])
    ended = decode(model, load_chat(base, ""), items[:2], 4, "ended")
    assert [one.finish_reason for one in ended] == ["stop", "stop"]


def test_an_end_that_is_no_token_is_found_in_the_text(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base", "llama")
    model, items = load_base(base, "cpu"), [Prompt(make_turns("Say one."), 20, "two")]
    [free] = decode(model, load_chat(base, ""), items, 1, "free")
    part = free.text[4:6]  # text that the model writes
    chat = load_chat(base, template(f"{CONTENT}{part}", question="<|user|>\n{{ m.content }}<|end|>\n"), instead=True)
    assert chat.stop_text == part
    [ended] = decode(model, chat, items, 1, "ended")
    assert free.text.startswith(ended.text)
    assert (len(ended.text) <= 4, ended.finish_reason) == (True, "stop")
    assert chat.tokenizer.decode(chat.encode_response("two")) == f"two{part}"


# --- reasoning ---------------------------------------------------------------------------------------------

QWEN = template(
    "<|assistant|>\n{% if loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|end|>\n",
    "<|assistant|>\n{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}",
)
R1 = template("<|assistant|>{{ m.content.split('</think>')[-1] }}<|end|>", "<|assistant|><think>\n")
OPENED = template("<|assistant|>\n<think>\n\n</think>\n\n{{ m.content }}<|end|>", "<|assistant|>\n<think>\n")
PLAIN = template(f"{CONTENT}<|end|>")
THOUGHTS: dict[str, tuple[str, str, str, bool]] = {  # template, what the model writes, its answer, whether it thought
    "no thought": (QWEN, "one", "one", False),
    "a thought": (QWEN, "<think>\nHm, two?\n</think>\n\none", "one", True),
    "an empty thought": (QWEN, "<think>\n\n</think>\n\none", "one", True),
    "cut in its thought": (QWEN, "<think>\nHm, one or<cut>", "", True),
    "ended in its thought": (QWEN, "<think>\nHm, one or", "", True),
    "a thought that the prompt has begun": (R1, "Hm, two?\n</think>\n\none", "one", True),
    "the same, cut": (R1, "Hm, two or three or<cut>", "", True),
    "a turn that ends without closing it": (R1, "one", "one", False),
    "begun twice": (R1, "<think>\nHm\n</think>\none", "one", True),
    "begun by the prompt, closed in a conversation": (OPENED, "Hm</think>one", "one", True),
    "a thought of a model without such a template": (PLAIN, "<thinking>Hm</thinking>one", "one", True),
    "an end alone": (PLAIN, "Hm\n</think>\none", "one", True),
    "in square brackets": (PLAIN, "[THINK]Hm[/THINK]one", "one", True),
    "channels": (PLAIN, "<|channel|>analysis<|message|>Hm<|start|>assistant<|channel|>final<|message|>one", "one", True),
    "a word about thinking": (PLAIN, "I think <b>one</b>", "I think <b>one</b>", False),
}  # fmt: skip


@pytest.mark.parametrize("special", [False, True], ids=["marks are text", "marks are special tokens"])
@pytest.mark.parametrize("case", THOUGHTS)
def test_reasoning_is_no_part_of_the_answer(case: str, special: bool) -> None:
    text, written, wanted, thought = THOUGHTS[case]
    marks = ("<think>", "</think>", "[THINK]", "[/THINK]", "<|channel|>", "<|message|>", "<|start|>") if special else ()
    chat = Chat(words(*marks), text)
    tokens = chat.tokenizer(written.removesuffix("<cut>"), add_special_tokens=False)["input_ids"]
    found = chat.read_answer(tokens if written.endswith("<cut>") else [*tokens, *chat.end])
    assert (found.text, found.raw is not None) == (wanted, thought)
    assert found.raw is None or "Hm" in found.raw or "<think>" in found.raw


def test_reasoning_is_counted_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = make_base(tmp_path / "base", "llama")
    model, chat = load_base(base, "cpu"), load_chat(base, "")
    monkeypatch.setattr(chat.tokenizer, "decode", lambda *_, **__: "<think>Hm</think>one")
    [answer] = decode(model, chat, [Prompt(ASKED, 4, None)], 1, "thinker")
    assert (answer.text, answer.raw) == ("one", "<think>Hm</think>one")
    assert "thinker: removed reasoning from 1 of 1 answers; 0 held nothing else" in capsys.readouterr().err
    row = answer.to_prediction("a", "t", "g", "p", None)
    assert json.loads(row.model_dump_json())["raw"] == "<think>Hm</think>one"
    assert "raw" not in json.loads(row.model_copy(update={"raw": None}).model_dump_json())


def test_a_likelihood_is_measured_where_the_template_has_the_answer() -> None:
    for text, before in (
        (QWEN, "<|assistant|>\n<think>\n\n</think>\n\n"), (R1, "<|assistant|>"), (OPENED, "<|assistant|>\n<think>\n\n</think>\n\n"),
        (PLAIN, "<|assistant|>\n"),
    ):  # fmt: skip
        chat = Chat(words(), text)
        assert str(chat.tokenizer.decode(chat.encode_context(ASKED))).endswith(f"<|user-end|>\n{before}")


def test_what_the_template_writes_before_an_answer_is_learned() -> None:
    chat = Chat(words(), QWEN)
    turns = make_turns("Say one.", "one")
    [_, (learned, _)] = chat.encode_conversation(turns, "last")
    assert chat.tokenizer.decode(learned) == "<think>\n\n</think>\n\none<|end|>"
    quiet = Chat(words(), QWEN, {"enable_thinking": False})
    [(asked, _), (learned, _)] = quiet.encode_conversation(turns, "last")
    assert asked == quiet.encode_prompt(ASKED)
    assert quiet.tokenizer.decode(learned) == "one<|end|>"
    with pytest.raises(InputError, match=r"opens an answer with a thought .*switch thinking off \(chat\.arguments\)"):
        Chat(words(), R1).encode_conversation(turns, "last")


# --- arguments, dates, names -------------------------------------------------------------------------------


def test_arguments_reach_the_template_and_a_mistyped_one_is_refused() -> None:
    quiet = Chat(words(), QWEN, {"enable_thinking": False})
    assert quiet.render_prompt(ASKED).endswith("<think>\n\n</think>\n\n")
    assert Chat(words(), QWEN, {"enable_thinking": True}).render_prompt(ASKED).endswith("<|assistant|>\n")
    with pytest.raises(InputError, match=r"chat\.arguments: enable_thinkng: .* takes enable_thinking$"):
        Chat(words(), QWEN, {"enable_thinkng": False})
    with pytest.raises(
        InputError, match=r"chat\.arguments: enable_thinking: chat\.template does not take it; it takes none"
    ):
        Chat(words(), PLAIN, {"enable_thinking": False})
    with pytest.raises(InputError, match=r"chat\.arguments: messages"):
        Chat(words(), QWEN, {"messages": []})


@pytest.mark.parametrize(
    ("stamp", "shown"),
    [
        ("{{ strftime_now('%d %b %Y') }}", "05 Mar 2026"),
        ("{% set d = strftime_now('%Y-%m-%d %H:%M:%S.%f') %}{{ d }}", "2026-03-05 00:00:00.000000"),
        ("{% if strftime_now is defined %}{{ strftime_now('%B %Y') }}{% else %}then{% endif %}", "March 2026"),
        (
            "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b') %}{% endif %}{{ date_string }}",
            "05 Mar",
        ),
        (
            "{% if not date_string is defined %}{% set date_string = '26 Jul 2024' %}{% endif %}{{ date_string }}",
            "26 Jul 2024",
        ),
    ],
)
def test_a_date_is_pinned(stamp: str, shown: str) -> None:
    dated = template(f"{CONTENT}<|end|>", question=f"<|user|>\n{stamp}: {{{{ m.content }}}}<|user-end|>\n")
    later, chat = Chat(words(), dated, date="2027-01-01"), Chat(words(), dated, date="2026-03-05")
    assert chat.render_prompt(ASKED).startswith(f"<|user|>\n{shown}: Say one.")
    later.render_prompt(ASKED)
    assert chat.render_prompt(ASKED).startswith(f"<|user|>\n{shown}: Say one.")  # each has its own
    if "date_string" in stamp:
        given = Chat(words(), dated, {"date_string": "1 May"}, "2026-03-05")
        assert given.render_prompt(ASKED).startswith("<|user|>\n1 May: ")


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        (None, None),
        ("text", "text"),
        ({"default": "a", "tool_use": "b"}, "a"),
        ([{"name": "tool_use", "template": "b"}, {"name": "default", "template": "a"}], "a"),
        ([{"name": "chat", "template": "c"}], "c"),
        ([], None),
    ],
)
def test_the_default_of_several_templates(found: object, chosen: str | None) -> None:
    assert choose_template(found, "x") == chosen


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"rag": "a", "tool_use": "b"}, "has the chat templates rag, tool_use, and none is the default"),
        (["{{ messages }}"], "chat_template is not text"),
        (7, "chat_template is not text"),
        ({"default": None}, "chat_template is not text"),
        ([{"name": "default"}], "chat_template is not text"),
        (True, "chat_template is not text"),
    ],
)
def test_templates_of_odd_types_are_one_line(tmp_path: Path, found: object, said: str) -> None:
    base = make_base(tmp_path / "base", "llama")
    (base / "chat_template.jinja").unlink(missing_ok=True)
    edit(base / "tokenizer_config.json", chat_template=found)
    with pytest.raises(InputError, match=said) as caught:
        load_chat(base, tiny.TEMPLATE)
    assert "tokenizer_config.json" in str(caught.value)


def test_named_templates_as_transformers_saves_them(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base", "llama")
    (base / "additional_chat_templates").mkdir()
    (base / "additional_chat_templates" / "tool_use.jinja").write_text("TOOLS" + tiny.TEMPLATE)
    assert load_chat(base, "").render_prompt(ASKED).startswith("<|user|>")


BROKEN: dict[str, tuple[str, str]] = {
    "a slip": ("{% for m in messages %}", "Unexpected end of template|the chat template of .*: "),
    "a refusal": ("{{ raise_exception('no system role') }}", "no system role"),
    "a program's mistake": ("{{ messages[0].content + 1 }}{{ messages[9].content }}", "chat template of"),
    "an unknown filter": ("{{ messages | shuffle }}", "No filter named"),
    "no answer": ("<|user|>{{ messages[0].content }}<|end|>", "does not hold its answer"),
    "no prompt": (
        "{% if add_generation_prompt %}x{% else %}{{ messages[1].content }}{% endif %}",
        "does not start with its prompt",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_template_that_cannot_be_used_is_named(tmp_path: Path, case: str) -> None:
    text, said = BROKEN[case]
    base = make_base(tmp_path / "base", "llama")
    (base / "chat_template.jinja").write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        load_chat(base, "")
    assert str(base) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_system_turn_that_the_template_refuses_is_one_line() -> None:
    strict = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + PLAIN
    )
    chat: Any = Chat(words(), strict)
    from relearn.records import Message

    with pytest.raises(InputError, match="System role not supported"):
        chat.encode_prompt([Message(role="system", content="x"), *ASKED])
