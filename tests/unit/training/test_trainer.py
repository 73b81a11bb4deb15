"""A run learns, watches the held-out losses, resumes to the byte, and stops at a loss that is not a number."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from relearn.chat import Chat
from relearn.errors import InputError
from relearn.training.checkpoints import find_checkpoint
from relearn.training.rows import EncodedRows, encode
from relearn.training.trainer import Schedule, measure_loss, train
from tests.unit.tiny import ROWS as CONVERSATIONS
from tests.unit.tiny import TEMPLATE, model, tokenizer

WORDS = tokenizer()
CHAT = Chat(WORDS, TEMPLATE)
ROWS = encode(CONVERSATIONS[:40], CHAT, 64)
HELD_OUT = {"code": encode(CONVERSATIONS[40:50], CHAT, 64)}


def schedule(**changes: Any) -> Schedule:
    values: dict[str, Any] = {
        "epochs": 2, "lr": 0.01, "batch_size": 8, "accumulation": 1, "shape": "linear", "warmup_steps": 2, "weight_decay": 0.0,
        "max_grad_norm": 1.0, "optimizer": "adamw", "seed": 3, "device": "cpu", "eval_every": 4, "checkpoint_every": 4,
    }  # fmt: skip
    return Schedule(**{**values, **changes})


def run(
    scratch: Path, small: Any = None, rows: EncodedRows = ROWS, **changes: Any
) -> tuple[Any, list[dict[str, float]]]:
    small = small if small is not None else model(WORDS)
    outcome = train(small, rows, HELD_OUT, WORDS.pad_token_id, schedule(**changes), scratch, "test")
    return small, outcome.history


def same(one: Any, other: Any) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_training_lowers_the_loss_and_watches_it(tmp_path: Path) -> None:
    before = measure_loss(model(WORDS), ROWS, WORDS.pad_token_id, 8)
    small, history = run(tmp_path, epochs=6)
    assert measure_loss(small, ROWS, WORDS.pad_token_id, 8) < before - 1
    assert [look["step"] for look in history] == [0, 4, 8, 12, 16, 20, 24, 28, 30]
    assert history[-1]["code"] < history[0]["code"]
    assert "train" not in history[0]
    assert all("train" in look for look in history[1:])


def test_mean_loss_is_the_token_weighted_cross_entropy() -> None:
    small = model(WORDS)
    total = count = 0.0
    for row in ROWS.rows:
        logits = small(input_ids=torch.tensor([row.ids])).logits[0].detach()
        target = torch.tensor(row.ids)[row.prompt :]
        total += float(torch.nn.functional.cross_entropy(logits[row.prompt - 1 : -1], target, reduction="sum"))
        count += len(target)
    assert measure_loss(small, ROWS, WORDS.pad_token_id, 7) == pytest.approx(total / count, rel=1e-5)


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_byte(tmp_path: Path) -> None:
    whole, history = run(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.rmtree(tmp_path / "b" / "checkpoint-10")  # as if killed after update 8 of 10
    resumed, again = run(tmp_path / "b", small=model(WORDS, seed=99))
    assert same(whole, resumed)
    assert history == again


def test_curves_are_shown_live_and_again_after_a_kill(tmp_path: Path) -> None:
    def shown() -> dict[str, list[tuple[int, float]]]:
        found = {}
        for file in sorted((tmp_path / "live" / "plots" / "metrics" / "loss").glob("*.tsv")):
            rows = list(csv.DictReader(file.read_text().splitlines(), delimiter="\t"))
            found[file.stem] = [(int(row["step"]), float(row[file.stem])) for row in rows]
        return found

    def trained() -> list[dict[str, float]]:
        small = model(WORDS)
        pad, place = WORDS.pad_token_id, tmp_path / "scratch"
        return train(small, ROWS, HELD_OUT, pad, schedule(), place, "test", tmp_path / "live").history

    def expected(history: list[dict[str, float]]) -> dict[str, list[tuple[int, float]]]:
        return {
            name: [(int(look["step"]), look[name]) for look in history if name in look] for name in ("code", "train")
        }

    assert shown() == {} != expected(trained()) == shown()
    shutil.rmtree(tmp_path / "scratch" / "checkpoint-10")
    assert expected(trained()) == shown()
    assert not (tmp_path / "dvc.yaml").exists()


def test_a_half_written_checkpoint_is_passed_over(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "checkpoint-10" / "trainer_state.json").write_text('{"global_step": ')
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert found.name == "checkpoint-8"
    assert not (tmp_path / "checkpoint-10").exists()


def test_checkpoints_are_ordered_by_number(tmp_path: Path) -> None:
    for name in ("checkpoint-9", "checkpoint-10", "checkpoint-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trainer_state.json").write_text(json.dumps({}))
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert found.name == "checkpoint-10"


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    small = model(WORDS)
    with torch.no_grad():
        small.lm_head.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="the loss is nan at update 1; lower lr"):
        run(tmp_path, small=small)


def test_the_last_good_checkpoint_stays_and_is_gone_on_from(tmp_path: Path) -> None:
    """A loss that is not a number at update 6 leaves the checkpoint of update 4, from which a sound run ends as usual."""
    whole, history = run(tmp_path / "sound")
    small, passes = model(WORDS), 0

    def spoil(module: Any, arguments: Any, logits: torch.Tensor) -> torch.Tensor:
        nonlocal passes
        passes += module.training
        return logits * float("nan") if module.training and passes == 6 else logits

    handle = small.lm_head.register_forward_hook(spoil)
    with pytest.raises(InputError, match="the loss is nan at update 6; lower lr"):
        run(tmp_path / "spoiled", small=small)
    handle.remove()
    assert [path.name for path in (tmp_path / "spoiled").glob("checkpoint-*")] == ["checkpoint-4"]
    resumed, again = run(tmp_path / "spoiled", small=model(WORDS, seed=99))
    assert same(whole, resumed)
    assert history == again
