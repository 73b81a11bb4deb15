"""A model writes instructions and answers by itself, the same each time, and they are learned where it wrote them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from relearn.chat import Chat
from relearn.decoding.sampling import sample_answers, sample_instructions
from relearn.errors import InputError
from relearn.records import SampledRow, make_turns
from relearn.training.rows import encode_sample
from tests.unit.tiny import TEMPLATE, model, tokenizer

WORDS = tokenizer()
CHAT = Chat(WORDS, TEMPLATE)


def draw(small: Any, seed: int = 1, count: int = 5) -> list[str]:
    return sample_instructions(small, CHAT, count, 12, 4, seed, "test")


def test_instructions_are_what_a_model_writes_after_the_prefix() -> None:
    small = model(WORDS).eval()
    found = draw(small)
    assert len(found) == 5
    assert found == draw(small) != draw(small, seed=2)
    assert len(set(found)) > 1
    for text in found:
        assert text == text.strip() != ""
        assert not any(token in text for token in WORDS.all_special_tokens)


def test_the_seed_decides_and_not_what_was_drawn_before() -> None:
    small = model(WORDS).eval()
    first = draw(small)
    torch.manual_seed(99)
    assert draw(small) == first


def test_a_model_that_writes_no_instruction_is_one_line() -> None:
    small = model(WORDS).eval()
    small.lm_head.weight = torch.nn.Parameter(torch.zeros_like(small.lm_head.weight))  # no longer tied
    with torch.no_grad():
        small.model.norm.weight.zero_()
    small.lm_head.register_forward_hook(
        lambda _, __, made: torch.nn.functional.one_hot(torch.tensor(WORDS.eos_token_id), made.shape[-1]) * 99.0 + made
    )
    with pytest.raises(InputError, match=r"finetune_2b\.sample\.prompts: of 20 instructions .* 0 are not empty"):
        draw(small)


def test_answers_are_to_the_prompts() -> None:
    small = model(WORDS).eval()
    prompts = [make_turns("Say one then two."), make_turns("Say six.")]
    answers = sample_answers(small, CHAT, prompts, 8, 2, 1, "test")
    assert [answer.text for answer in answers] == [
        answer.text for answer in sample_answers(small, CHAT, prompts, 8, 2, 1, "test")
    ]
    assert all(answer.finish_reason in ("stop", "length") for answer in answers)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("finish", ["stop", "length"])
def test_the_loss_looks_at_what_the_model_wrote(given: bool, finish: Any) -> None:
    turns = make_turns("Say one then two.", "one two")
    row = encode_sample(SampledRow(id="0", given=given, messages=turns, finish_reason=finish), CHAT)
    learned = WORDS.decode(row.ids[row.prompt :])
    before = WORDS.decode(row.ids[: row.prompt])
    end = "<|end|>" if finish == "stop" else ""
    if given:
        assert (before[-14:], learned) == ("<|assistant|>\n", f"one two{end}")
    else:
        assert before == "<|user|>\n"
        assert learned == f"Say one then two.<|end|>\n<|assistant|>\none two{end}"


def templated(template: str) -> Chat:
    words = tokenizer()
    words.chat_template = template
    return Chat(words, template)


def test_the_prefix_of_a_template_that_closes_a_turn_with_words() -> None:
    turn = "{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}<|end|>{% endif %}"
    chat = templated(f"{{% for m in messages %}}{turn}{{% endfor %}}")
    ids, closing = chat.around_instruction()
    assert (chat.tokenizer.decode(ids).rstrip(), closing) == ("[INST]", "[/INST]")
    with pytest.raises(InputError, match="puts nothing before a user's turn"):
        templated("{% for m in messages %}{{ m.content }}<|end|>{% endfor %}").around_instruction()
