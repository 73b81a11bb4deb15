"""Decoding: neighbours and batch size change nothing, the end token ends, the prompt never comes back."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from relearn.chat import Chat
from relearn.decoding import greedy, local
from relearn.decoding.llama import Batch
from relearn.decoding.local import Prompt, decode
from relearn.params.predict import Beam, Greedy, Sampled, TopK
from tests.unit.tiny import ROWS, TEMPLATE, model, tokenizer
from tests.unit.training.test_quick import ALL, grouped, tuned
from tests.unit.training.test_trainer import run

WORDS = tokenizer()
CHAT = Chat(WORDS, TEMPLATE)
ITEMS = [Prompt(row[:-1], 12 if index % 3 else 6, row[-1].content) for index, row in enumerate(ROWS[:30])]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    scratch: Path = tmp_path_factory.mktemp("scratch")
    return run(scratch, epochs=40)[0].eval()  # answers in words, one of several


def test_an_answer_does_not_depend_on_its_neighbours(trained: Any) -> None:
    together = decode(trained, CHAT, ITEMS, 64, "batch")
    alone = [decode(trained, CHAT, [item], 1, "one")[0] for item in ITEMS]
    assert len({answer.text for answer in together}) > 3  # else nothing is shown
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    assert [answer.finish_reason for answer in together] == [answer.finish_reason for answer in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.nll == pytest.approx(other.nll, abs=1e-3)


@pytest.fixture(params=["small", "grouped heads", "an adapter"])
def decoded(request: pytest.FixtureRequest, trained: Any) -> Any:
    """Models that `llama` copies."""
    if request.param == "small":
        return trained
    loud = grouped().eval()
    with torch.no_grad():  # large weights, so that each prompt goes a way of its own
        for weights in loud.parameters():
            weights.mul_(6 if weights.dim() == 2 else 1)
    return loud if request.param == "grouped heads" else tuned(ALL, model=loud).eval()


def test_own_ways_answer_what_generate_answers(decoded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = decode(decoded, CHAT, ITEMS, 16, "copy")
    assert local.copy_llama(decoded) is not None
    assert len({answer.text for answer in copied}) > 3  # else nothing is shown
    monkeypatch.setattr(local, "copy_llama", lambda _: None)
    assert greedy.supports(decoded)
    own = decode(decoded, CHAT, ITEMS, 16, "own")
    monkeypatch.setattr(greedy, "supports", lambda _: False)
    plain = decode(decoded, CHAT, ITEMS, 16, "generate")
    assert own == plain
    for one, other in zip(copied, plain, strict=True):
        assert (one.text, one.finish_reason) == (other.text, other.finish_reason)
        assert one.nll == pytest.approx(other.nll, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize(
    "template",
    [
        TEMPLATE.replace("\n{% endfor %}", "{% if message.role == 'user' %}<|user|>{% endif %}{% endfor %}"),  # an end of its own
        TEMPLATE.replace("<|end|>", "</s>"),  # no token: the end is text
        TEMPLATE.replace("{{ message.content }}", "{% if message.role == 'assistant' %}one {% endif %}{{ message.content }}"),
    ],
    ids=["another end", "an end in words", "something before an answer that is given"],
)  # fmt: skip
def test_the_copy_goes_by_the_chat(
    trained: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, template: str
) -> None:
    words = tokenizer()
    words.chat_template = template
    chat = Chat(words, template, stops=[words.convert_tokens_to_ids("Ġt")])
    copied = decode(trained, chat, ITEMS, 16, "copy", kept=tmp_path)
    assert copied == decode(trained, chat, ITEMS, 16, "copy", kept=tmp_path)
    monkeypatch.setattr(local, "copy_llama", lambda _: None)
    for one, other in zip(copied, decode(trained, chat, ITEMS, 16, "own"), strict=True):
        assert (one.text, one.finish_reason, one.raw) == (other.text, other.finish_reason, other.raw)
        assert one.nll == pytest.approx(other.nll, rel=1e-5, abs=1e-4)


def test_a_scaled_adapter_is_copied_as_it_is_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    from peft.helpers import rescale_adapter_scale

    model = tuned(ALL, model=grouped()).eval()

    def answer() -> list[float | None]:
        return [one.nll for one in decode(model, CHAT, ITEMS, 16, "scaled")]

    with rescale_adapter_scale(model, 0.5):
        half = answer()
    whole = answer()
    assert half != pytest.approx(whole, rel=1e-3)
    monkeypatch.setattr(local, "copy_llama", lambda _: None)
    assert answer() == pytest.approx(whole, rel=1e-5)
    with rescale_adapter_scale(model, 0.5):
        assert answer() == pytest.approx(half, rel=1e-5)


def test_a_bare_model_under_an_adapter_answers_without_it() -> None:
    model = tuned(ALL, model=grouped()).eval()
    with model.disable_adapter():
        bare = decode(model, CHAT, ITEMS, 16, "bare")
    assert bare == decode(grouped().eval(), CHAT, ITEMS, 16, "base")
    assert bare != decode(model, CHAT, ITEMS, 16, "adapter")


def test_references_of_all_lengths_are_scored(trained: Any) -> None:
    texts = ["one two three four", None, "", "two"]
    items = [Prompt(row[:-1], 3, text) for row, text in zip(ROWS, texts, strict=False)]
    together = decode(trained, CHAT, items, 4, "together")
    alone = [decode(trained, CHAT, [item], 1, "one")[0] for item in items]
    assert [answer.nll is None for answer in together] == [False, True, False, False]
    for one, other in zip(together, alone, strict=True):
        assert one.nll == (None if other.nll is None else pytest.approx(other.nll, abs=1e-4))


@pytest.mark.parametrize("decoded", ["grouped heads", "an adapter"], indirect=True)
def test_rows_that_end_leave_the_copy_too(decoded: Any) -> None:
    prompts = [CHAT.encode_prompt(item.messages) for item in ITEMS[:12]]
    copied = local.copy_llama(decoded)
    assert copied is not None
    with torch.inference_mode():
        whole = Batch(copied, prompts).answer(20, ())
        end = max(
            {token for row in whole for token in row},
            key=lambda token: len({row.index(token) for row in whole if token in row}),
        )
        batch = Batch(copied, prompts)
        found = batch.answer(20, {end})
    assert len({len(row) for row in found}) > 1  # else nothing is shown
    assert found == [row[: row.index(end) + 1] if end in row else row for row in whole]
    assert len(batch.seen) < 12


def test_ended_rows_leave_the_batch_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    loud = model(WORDS).eval()
    with torch.no_grad():  # large weights, so that each prompt goes a way of its own
        for weights in loud.parameters():
            weights.mul_(16 if weights.dim() == 2 else 1)
    prompts = [CHAT.encode_prompt(item.messages) for item in ITEMS[:12]]
    sizes: list[int] = []
    real = type(loud).forward

    def forward(self: Any, *arguments: Any, **named: Any) -> Any:
        sizes.append(len(named["input_ids"]))
        return real(self, *arguments, **named)

    monkeypatch.setattr(type(loud), "forward", forward)
    with torch.inference_mode():
        whole = greedy.continue_prompts(loud, prompts, 20, (), WORDS.pad_token_id)
        # a token that comes at other places in other answers acts as the end
        end = max(
            {token for row in whole for token in row},
            key=lambda token: len({row.index(token) for row in whole if token in row}),
        )
        sizes.clear()
        found = greedy.continue_prompts(loud, prompts, 20, {end}, WORDS.pad_token_id)
    assert len({len(row) for row in found}) > 1  # else nothing is shown
    assert found == [row[: row.index(end) + 1] if end in row else row for row in whole]
    assert sizes[0] == 12
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 12
    going = [sum(len(row) > step for row in found) for step in range(len(sizes))]
    assert all(size - live <= 12 // greedy.DROP + 1 for size, live in zip(sizes, going, strict=True))


def test_a_step_waits_for_the_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To read a number is to wait until the device has done all that it was given; what the model's own code reads is
    not counted."""
    loud, steps, reads, inside = model(WORDS).eval(), 0, 0, False
    real = type(loud).forward

    def forward(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal steps, inside
        steps, inside = steps + 1, True
        try:
            return real(self, *arguments, **named)
        finally:
            inside = False

    def counting(plain: Any) -> Any:
        def read(*arguments: Any) -> Any:
            nonlocal reads
            reads += not inside
            return plain(*arguments)

        return read

    monkeypatch.setattr(type(loud), "forward", forward)
    for name in ("item", "tolist", "nonzero", "__int__", "__float__", "__bool__"):
        monkeypatch.setattr(torch.Tensor, name, counting(getattr(torch.Tensor, name)))
    prompts = [CHAT.encode_prompt(item.messages) for item in ITEMS[:12]]
    with torch.inference_mode():
        whole = greedy.continue_prompts(loud, prompts, 9, (), WORDS.pad_token_id)
        assert reads == steps == 9
        # rows that end leave the batch, and nothing more is read for that
        greedy.continue_prompts(loud, prompts, 9, {whole[0][3]}, WORDS.pad_token_id)
    assert reads == steps > 9


def test_likelihoods_take_one_rows_logits_in_fp32_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    small, pad = model(WORDS).bfloat16().eval(), WORDS.pad_token_id
    rows = [(CHAT.encode_context(item.messages), CHAT.encode_response(item.reference or "")) for item in ITEMS[:8]]
    sizes: list[int] = []
    plain = torch.Tensor.float

    def spy(self: Any, *arguments: Any, **named: Any) -> Any:
        sizes.append(self.numel())
        return plain(self, *arguments, **named)

    with torch.inference_mode():
        alone = [local.score_batch(small, [row], pad)[0] for row in rows]
        monkeypatch.setattr(torch.Tensor, "float", spy)
        assert local.score_batch(small, rows, pad) == pytest.approx(alone, rel=0.02)
    assert max(sizes) == max(len(answer) for _, answer in rows) * small.config.vocab_size


def test_a_model_that_forgets_old_tokens_goes_to_generate() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, sliding_window=8,
    )  # fmt: skip
    sliding = MistralForCausalLM(config).eval()
    assert not greedy.supports(sliding)
    assert len(decode(sliding, CHAT, ITEMS[:3], 2, "sliding")) == 3


def test_answers_come_in_the_order_asked(trained: Any) -> None:
    forward = decode(trained, CHAT, ITEMS, 4, "batch")
    backward = decode(trained, CHAT, ITEMS[::-1], 4, "batch")
    assert [answer.text for answer in forward] == [answer.text for answer in backward[::-1]]


def test_the_end_token_or_the_limit_ends_an_answer(trained: Any) -> None:
    answers = decode(trained, CHAT, ITEMS, 8, "batch")
    assert any(answer.finish_reason == "stop" for answer in answers)
    assert not any("<|" in answer.text for answer in answers)
    short = decode(trained, CHAT, [Prompt(item.messages, 1, None) for item in ITEMS], 8, "batch")
    assert all(answer.finish_reason == "length" for answer in short if answer.text)


def test_the_prompt_is_never_part_of_the_answer(trained: Any) -> None:
    assert not any("Say" in answer.text for answer in decode(trained, CHAT, ITEMS, 8, "batch"))


def test_nll_is_that_of_the_reference_and_the_end_token(trained: Any) -> None:
    item = ITEMS[3]
    prompt, response = CHAT.encode_prompt(item.messages), CHAT.encode_response(item.reference or "")
    with torch.no_grad():
        logits = trained(input_ids=torch.tensor([prompt + response])).logits[0].log_softmax(-1)
    expected = -sum(float(logits[len(prompt) - 1 + at, token]) for at, token in enumerate(response))
    assert decode(trained, CHAT, ITEMS, 16, "batch")[3].nll == pytest.approx(expected, abs=1e-3)
    assert decode(trained, CHAT, [Prompt(item.messages, 4, None)], 1, "batch")[0].nll is None


@pytest.mark.parametrize("strategy", [Greedy(kind="greedy"), Sampled(kind="temperature", temperature=2.0)])
def test_a_killed_run_goes_on_with_what_is_kept(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: Any
) -> None:
    items = [*ITEMS, *ITEMS[:8]]  # the second of two equal batches draws anew, and is kept apart
    whole = decode(trained, CHAT, items, 8, "whole", strategy, 3)
    real, calls = CHAT.read_answer, []

    def dying(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(CHAT, "read_answer", dying)
    with pytest.raises(KeyboardInterrupt):
        decode(trained, CHAT, items, 8, "killed", strategy, 3, tmp_path)
    left = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert left
    (tmp_path / next(iter(left))).write_text("[[")  # half a file is none
    assert decode(trained, CHAT, items, 8, "again", strategy, 3, tmp_path) == whole
    assert {name: (tmp_path / name).read_text() for name in left} == left
    for place, name in ((CHAT, "read_answer"), (local, "Batch"), (local, "score_batch")):  # nothing is computed again
        monkeypatch.setattr(place, name, lambda *_: pytest.fail("computed again"))
    assert decode(trained, CHAT, items, 8, "kept", strategy, 3, tmp_path) == whole


def texts(trained: Any, strategy: Any, seed: int) -> list[str]:
    return [answer.text for answer in decode(trained, CHAT, ITEMS, 8, "batch", strategy, seed)]


@pytest.mark.parametrize(
    "strategy", [Sampled(kind="temperature", temperature=2.0), TopK(kind="top_k", k=5, temperature=2.0)]
)
def test_sampling_is_seeded(trained: Any, strategy: Any) -> None:
    assert texts(trained, strategy, 1) == texts(trained, strategy, 1) != texts(trained, strategy, 2)


def test_sampling_among_one_token_is_greedy(trained: Any) -> None:
    assert texts(trained, TopK(kind="top_k", k=1, temperature=1.0), 1) == texts(trained, Greedy(kind="greedy"), 1)


def test_beams_find_answers_at_least_as_likely_as_greedy(trained: Any) -> None:
    # Of the answers that both ended, scored by the model itself.
    greedy = decode(trained, CHAT, ITEMS, 8, "greedy")
    beam = decode(trained, CHAT, ITEMS, 8, "beam", Beam(kind="beam", width=4))

    def cost(answers: list[Any]) -> list[float | None]:
        items = [Prompt(item.messages, 2, answer.text) for item, answer in zip(ITEMS, answers, strict=True)]
        return [scored.nll for scored in decode(trained, CHAT, items, 8, "score")]

    pairs = list(zip(cost(greedy), cost(beam), greedy, beam, strict=True))
    ended = [(a, b) for a, b, one, other in pairs if one.finish_reason == other.finish_reason == "stop" and a and b]
    assert ended
    assert sum(b <= a + 1e-3 for a, b in ended) / len(ended) >= 0.8


def test_in_bf16_neighbours_move_the_last_bits_but_seldom_an_answer(trained: Any) -> None:
    # bf16 has 8 bits of mantissa: sums in another order differ in the third digit, so that near ties may flip.
    half = copy.deepcopy(trained).to(torch.bfloat16)
    together = decode(half, CHAT, ITEMS, 64, "batch")
    alone = [decode(half, CHAT, [item], 1, "one")[0] for item in ITEMS]
    same = sum(one.text == other.text for one, other in zip(together, alone, strict=True))
    assert same >= 0.8 * len(ITEMS)
    for one, other in zip(together, alone, strict=True):
        assert one.nll == pytest.approx(other.nll, rel=0.05, abs=0.05)
