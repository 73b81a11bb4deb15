"""The distance from base is the exact divergence at each token of base's answers, and its mean is a ratio of sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from relearn.chat import Chat
from relearn.decoding.drift import DrawnAnswer, measure_drift
from relearn.decoding.items import Decoded
from relearn.evaluation.drift import correlate, summarise_drift
from relearn.params.finetune import Lora
from relearn.records import Drift, make_turns
from relearn.report import table
from relearn.training.rounds import new_adapter
from tests.unit.tiny import TEMPLATE, model, tokenizer

WORDS = tokenizer()
CHAT = Chat(WORDS, TEMPLATE)
PROMPT = make_turns("Say one then two.")


def adapted(size: float) -> Any:
    tuned = new_adapter(model(WORDS), Lora(rank=2, alpha=4, dropout=0.0, targets=["all-linear"])).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, size)
    return tuned


def walk(finish: Any = "stop") -> DrawnAnswer:
    return DrawnAnswer.of(CHAT, PROMPT, Decoded("one two", finish, None))


def test_an_answer_is_walked_with_its_end_unless_it_was_cut() -> None:
    assert WORDS.decode(walk().answer) == "one two<|end|>"
    assert WORDS.decode(walk("length").answer) == "one two"
    assert WORDS.decode(walk().prompt).endswith("<|assistant|>\n")


def test_the_distance_is_the_divergence_summed_over_the_answer() -> None:
    tuned, way = adapted(0.5), walk()
    found = measure_drift(tuned, way)
    ids = torch.tensor([[*way.prompt, *way.answer]])
    with torch.no_grad():
        own = tuned(input_ids=ids).logits[0].log_softmax(-1)
        base = model(WORDS)(input_ids=ids).logits[0].log_softmax(-1)
    expected = 0.0
    for at in range(len(way.prompt) - 1, len(way.prompt) + len(way.answer) - 1):
        expected += sum(
            float(base[at, token].exp() * (base[at, token] - own[at, token])) for token in range(len(WORDS))
        )
    assert found == pytest.approx(expected, rel=1e-4)
    assert expected > 1e-3
    assert measure_drift(adapted(0.0), way) == pytest.approx(0, abs=1e-6)


def drifts(model: str, seed: int | None = None) -> list[Drift]:
    return [
        Drift(id=f"{n}", task="new", group=f"{n // 2}", model=model, seed=seed, tokens=n + 1, divergence=float(n * n))
        for n in range(8)
    ]


def test_the_mean_is_over_tokens_and_its_interval_over_clusters() -> None:
    found = summarise_drift([*drifts("tuned"), *drifts("tuned", 5)], 2000, 1)
    value = found["tasks"]["new"]["tuned"]
    assert value["value"] == pytest.approx(140 / 36)
    assert (value["prompts"], value["tokens"], value["clusters"]) == (8, 36, 4)
    assert found["seeds"] == {"5": {"new": {"tuned": pytest.approx(140 / 36)}}}
    totals = np.array([[1, 3], [13, 7], [41, 11], [85, 15]], dtype=float)
    generator = np.random.default_rng(9)
    drawn = totals[generator.integers(0, 4, (4000, 4))].sum(1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.05, 0.95])
    assert value["low"] < low < value["value"] < high < value["high"]


def test_the_table_shows_it_where_it_was_measured() -> None:
    rest: dict[str, Any] = {"claim": "these checkpoints", "warnings": [], "tasks": {}}
    assert "Distance" not in table.markdown([], rest)
    text = table.markdown([], {**rest, "drift": summarise_drift(drifts("2b"), 100, 1)})
    assert "### Distance from base" in text
    assert "| 2b      | 3.889 [" in text
    assert summarise_drift([], 100, 1) == {"tasks": {}, "seeds": {}}


def test_a_correlation_is_of_ranks_and_wider_for_fewer_runs() -> None:
    generator = np.random.default_rng(4)
    drifts = generator.exponential(size=40)
    lost = np.exp(drifts) + generator.normal(0, 1, 40)
    few, many = correlate(list(drifts[:8]), list(lost[:8])), correlate(list(drifts), list(lost))
    assert few is not None
    assert many is not None
    ranks = [np.argsort(np.argsort(values)) for values in (drifts, lost)]
    assert many["value"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert many["high"] - many["low"] < few["high"] - few["low"]
    assert many["low"] < many["value"] < many["high"]
    assert correlate([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]) is None
    for sign in (1, -1):  # five runs in one order are no certainty
        agree = correlate([1.0, 2.0, 3.0, 4.0, 5.0], [sign * 1.0, sign * 2.0, sign * 3.0, sign * 4.0, sign * 5.0])
        assert agree is not None
        nearer, farther = sorted((agree["low"], agree["high"]), key=abs)
        assert (agree["value"], farther) == (pytest.approx(sign), pytest.approx(sign))
        assert nearer * sign == pytest.approx(-0.17, abs=0.01)  # as for 0.9, the next value that five ranks can have
    assert correlate([1.0] * 9, list(range(9))) is None
