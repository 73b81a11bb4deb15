"""Profiles of earlier versions: an old key is refused with its new name, and an upgrade keeps values and comments."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.errors import InputError
from relearn.params import load
from relearn.params.document import keys
from relearn.params.moves import ADDED, ADDED_TO_KIND, MOVES
from stages import parameters
from stages.upgrade import upgrade

ROOT = Path(__file__).resolve().parents[3]
BEFORE = sorted((ROOT / "tests" / "profiles" / "before").glob("*.yaml"))


# Keys whose values are written in another form, which their comments would not fit.
GONE = set(
    "kind general review max_chars prompt min_chars echo similarity contradictions boilerplate instructions".split()
)


def _reach(tree: Any, path: str) -> Any:
    for part in path.split("."):
        tree = tree[part]
    return tree


def comments(text: str) -> list[str]:
    return sorted(line.partition("#")[2].strip() for line in text.splitlines() if "#" in line)


@pytest.mark.parametrize("file", BEFORE, ids=lambda file: file.stem)
def test_an_upgrade_keeps_values_and_comments(file: Path) -> None:
    now = ROOT / ("tests/profiles" if file.stem == "tiny" else "profiles") / file.name
    old = file.read_text(encoding="utf-8")
    new, changes = upgrade(old)
    assert changes == [f"{name} is now {place}" for name, place in MOVES.items()] + [f"{name} is new" for name in ADDED]
    yaml = YAML(typ="safe")
    expected = yaml.load(now)
    for name in set(expected["tasks"]) - set(yaml.load(new)["tasks"]):  # a task of today's is no key that moved
        for group in ("tasks", "prepare", "predict.max_new_tokens", "eval_3a.metrics", "report.tasks"):
            del _reach(expected, group)[name]
    assert yaml.load(new) == expected
    lost = set(comments(old)) - set(comments(new))
    assert {line.split(":")[0].strip() for line in old.splitlines() if line.partition("#")[2].strip() in lost} <= GONE
    assert set(comments(new)) <= set(comments(old))
    assert "\n\n\n" not in new
    assert upgrade(new) == (new, [])


def test_moved_keys_are_keys_of_today() -> None:
    known = {key.name for key in keys()}
    groups = {name.rpartition(".")[0] for name in known}
    assert set(MOVES.values()) <= known | groups | {name.rpartition(".")[0] for name in groups}
    assert not set(MOVES) & known
    assert {name for name in ADDED if not any(key.startswith(f"{name}.") for key in known)} <= known


def test_the_change_log_begins_with_this_version_and_lists_every_key() -> None:
    """A line a key: where it moved to, or what an upgraded profile gets for it."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert re.findall(r"^## (.*)$", text, re.MULTILINE)[0] == version
    listed = dict(re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", text, re.MULTILINE))
    added = ADDED | {name: value for name, (_, value) in ADDED_TO_KIND.items()}
    assert listed == MOVES | {name: json.dumps(value) for name, value in added.items()}


def test_an_old_key_is_refused_with_its_new_name_and_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "tests" / "profiles" / "before", tmp_path / "profiles")
    (tmp_path / "params.yaml").write_text("profile: mini\nlr: 0.01\nseed: 1222\nmethod: plain\n")
    with pytest.raises(InputError, match=r"^profiles/mini.yaml, line \d+: [\w.]+: is now [\w.<>]+; .*--upgrade"):
        load(tmp_path)
    monkeypatch.chdir(tmp_path)
    parameters.main(["--upgrade", "profiles/mini.yaml"])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "profiles/mini.yaml: finetune.lr_min is now lr_range.min"
    assert said[-2:] == [
        f"profiles/mini.yaml: {len(MOVES) + len(ADDED)} keys changed",
        "params.yaml: set method: plain to train as this profile did",
    ]
    assert load(tmp_path).finetune_2b.epochs == 7


def test_a_profile_that_replayed_keeps_its_share_and_names_the_method(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.yaml"
    old = (ROOT / "tests" / "profiles" / "before" / "mini.yaml").read_text(encoding="utf-8")
    assert "  replay: 0 " in old
    file.write_text(old.replace("  replay: 0 ", "  replay: 0.2 "))
    parameters.main(["--upgrade", str(file)])
    assert capsys.readouterr().out.splitlines()[-1].startswith("params.yaml: set method: replay ")
    first = YAML(typ="safe").load(file)["finetune_2b"]
    assert first["methods"]["plain"] == {}
    assert first["methods"]["replay"] == {"share": 0.2, "control": False}
    assert "replay" not in first


LAST = """\
finetune:
  epochs_2b: 3  # passes
  lr_max: 0.1

# how it ends
eval_3a: {execute: off}
"""


def test_a_comment_below_a_moved_key_stays_where_it_is() -> None:
    new, _ = upgrade(LAST)
    assert "# passes" in new
    assert new.index("# how it ends") < new.index("eval_3a:")
    assert YAML(typ="safe").load(new) == {
        "lr_range": {"max": 0.1}, "finetune": {}, "sandbox": {"execute": "off"},
        "eval_3a": {"cut_share": 0.1, "most_lost": None},
        "finetune_2b": {"epochs": 3, "sample": ADDED["finetune_2b.sample"]},
    }  # fmt: skip


def test_processes_that_shared_no_weights_still_share_none() -> None:
    new, changes = upgrade("launch:\n  kind: torchrun\n  processes: 2\n")
    assert (YAML(typ="safe").load(new)["launch"], changes) == (
        {"kind": "torchrun", "shard": False, "processes": 2},
        ["launch.shard is new"],
    )
    assert upgrade("launch:\n  kind: single\n") == ("launch:\n  kind: single\n", [])


def test_scales_that_were_decoded_still_are() -> None:
    text = (ROOT / "profiles" / "mini.yaml").read_text(encoding="utf-8")
    before = re.sub(r"  (likelihoods|decode_scales|scale_rows):.*\n", "", text).replace(
        "  scales: []", "  scales: [0.5, 2]"
    )
    new, changes = upgrade(before)
    assert changes == ["predict.likelihoods is new", "predict.decode_scales is new", "predict.scale_rows is new"]
    found = YAML(typ="safe").load(new)["predict"]
    assert (found["decode_scales"], found["scales"], found["scale_rows"]) == ([0.5, 2], [], None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("finetune: {lr_min: 1}\nlr_range: {min: 2}\n", "also there as lr_range.min"),
        ("a: [\n", "not YAML"),
        (None, "no such file"),
    ],
)
def test_a_file_that_cannot_be_upgraded_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    file = tmp_path / "own.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit, match="1"):
        parameters.main(["--upgrade", str(file)])
    assert said in capsys.readouterr().err
    assert not file.exists() or file.read_text() == text
