"""A method adds the rows it was asked for, changes the loss it was asked to, and is found by its name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from relearn.errors import InputError
from relearn.params.finetune import Methods
from relearn.training.method import Method, Part, load_method
from relearn.training.passes import Passes
from relearn.training.trainer import train
from tests.unit.training.test_trainer import HELD_OUT, ROWS, WORDS, model, same, schedule

NEW = [f"new {number}" for number in range(350)]
OLD = [f"old {number}" for number in range(700)]


def mix(old: list[str], share: float, control: bool = False, seed: int = 1) -> list[str]:
    return load_method("replay", SimpleNamespace(share=share, control=control), seed).choose_rows(NEW, old)


def test_every_method_of_the_tree_is_a_file_and_every_file_a_method() -> None:
    folder = Path(__file__).parents[3] / "relearn" / "training" / "methods"
    files = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    assert files == set(Methods.model_fields)
    for name in files:
        assert isinstance(load_method(name, None, 1), Method)


def test_plain_trains_on_the_new_rows() -> None:
    assert load_method("plain", None, 1).choose_rows(NEW, OLD) == NEW


@pytest.mark.parametrize("share", [0.01, 0.02, 0.05, 0.1, 0.3, 0.9])
def test_the_share_of_the_final_mix_is_old(share: float) -> None:
    rows = mix(OLD, share)
    old = [row for row in rows if row.startswith("old")]
    assert len(old) / len(rows) == pytest.approx(share, abs=1 / len(rows))
    assert rows[: len(NEW)] == NEW


def test_the_control_trains_as_long_without_replay() -> None:
    control = mix([], 0.3, control=True)
    assert len(control) == len(mix(OLD, 0.3))
    assert all(row.startswith("new") for row in control)


def test_rows_repeat_only_when_there_are_too_few() -> None:
    assert max(Counter(mix(OLD, 0.3)).values()) == 1
    counts = Counter(mix(OLD[:50], 0.5))
    assert {counts[row] for row in OLD[:50]} == {7}


def test_the_seed_draws() -> None:
    assert mix(OLD, 0.1) == mix(OLD, 0.1) != mix(OLD, 0.1, seed=2)


def test_nothing_to_replay_is_one_line() -> None:
    with pytest.raises(InputError, match="method: replay needs rows of a task of role replayed"):
        mix([], 0.1)


def learn(folder: Path, method: Method | None, **changes: Any) -> Any:
    small = model(WORDS)
    train(small, ROWS, HELD_OUT, WORDS.pad_token_id, schedule(**changes), folder, "test", method=method)
    return small


def test_a_method_may_change_the_loss_of_a_token(tmp_path: Path) -> None:
    class Nothing(Method):
        has_token_loss = True

        def token_loss(self, logits: torch.Tensor, targets: torch.Tensor, base: torch.Tensor | None) -> torch.Tensor:
            assert logits.shape == (len(targets), len(WORDS))
            assert base is None
            return logits.sum(-1) * 0

    before = model(WORDS)
    assert same(learn(tmp_path / "none", Nothing(None, 1), accumulation=2, batch_size=4), before)
    plain = learn(tmp_path / "plain", load_method("plain", None, 1))
    assert same(plain, learn(tmp_path / "without", None))
    assert not same(plain, before)


def test_an_update_is_told_to_a_method_pass_by_pass(tmp_path: Path) -> None:
    parts: list[Part] = []

    class Counting(Method):
        def add_loss(self, passes: Passes, part: Part) -> None:
            parts.append(part)

    learn(tmp_path, Counting(None, 1), accumulation=2, batch_size=4)
    assert parts == [Part(update, index, 2) for update in range(10) for index in range(2)]
