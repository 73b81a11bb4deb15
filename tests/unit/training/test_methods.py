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
from relearn.training.method import Method, load_method
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


def test_a_method_may_change_the_loss_and_its_share_is_of_the_update(tmp_path: Path) -> None:
    shares: list[float] = []

    class Nothing(Method):
        def change_loss(self, model: Any, batch: dict[str, Any], outputs: Any, loss: Any, share: Any) -> Any:
            labels = batch["shift_labels"]
            assert outputs.logits.shape[:-1].numel() in (int(labels.ne(-100).sum()), labels.numel())
            shares.append(float(share))
            return loss * 0

    before = model(WORDS)
    assert same(learn(tmp_path / "none", Nothing(None, 1), accumulation=2, batch_size=4), before)
    passes = torch.tensor(shares).view(-1, 2)  # of ten updates
    torch.testing.assert_close(passes.sum(1), torch.ones(len(passes)))
    plain = learn(tmp_path / "plain", load_method("plain", None, 1))
    assert same(plain, learn(tmp_path / "without", None))
    assert not same(plain, before)
