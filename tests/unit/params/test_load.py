"""Every shipped profile loads, and every key of every profile, mistyped, is named in one line."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from relearn.errors import InputError
from relearn.params import Params, load
from relearn.params.load import names
from relearn.params.wording import first_mistake

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml"))
RATES = {"mini": 0.01, "files": 0.01, "llama2-7b": 5e-5}
SWEPT = "profile: {profile}\nlr: {lr}\nseed: 1222\nmethod: plain\n"

Path_ = tuple[str, ...]


@cache
def parsed(profile: str) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(ROOT / "profiles" / f"{profile}.yaml"))


def keys(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Every key of a profile: groups and leaves."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name)
            yield from keys(inner, (*path, name))


def is_own_name(path: Path_) -> bool:
    """A name that the user gives: renamed or removed, it leaves what others say of it (tests/unit/params/test_groups.py)."""
    return path[:1] == ("tasks",) and len(path) == 2


KEYS = [(profile, path) for profile in SHIPPED for path in keys(parsed(profile)) if not is_own_name(path)]


def group_of(tree: dict[str, Any], path: Path_) -> dict[str, Any]:
    for part in path[:-1]:
        tree = tree[part]
    return tree


def leaf(profile: str, path: Path_) -> Any:
    return group_of(parsed(profile), path)[path[-1]]


NUMBERS = [
    (profile, path)
    for profile, path in KEYS
    if isinstance(leaf(profile, path), int | float) and not isinstance(leaf(profile, path), bool)
]


def by_section(listed: list[tuple[str, Path_]]) -> pytest.MarkDecorator:
    """A test for each section of each profile: one for each key would spend its time in pytest, not in the check."""
    sections: dict[tuple[str, str], list[Path_]] = {}
    for profile, path in listed:
        sections.setdefault((profile, path[0]), []).append(path)
    cases = [pytest.param(profile, paths, id=f"{profile}-{section}") for (profile, section), paths in sections.items()]
    return pytest.mark.parametrize(("profile", "paths"), cases)


def misspelt(word: str) -> str:
    """The word with its middle letter doubled."""
    middle = len(word) // 2
    return word[:middle] + word[middle] + word[middle:]


def rest_of(profile: str) -> dict[str, Any]:
    return copy.deepcopy(parsed(profile))


def mistake(profile: str, rest: dict[str, Any]) -> tuple[str, str]:
    swept = {"profile": profile, "lr": RATES.get(profile, 0.01), "seed": 1222, "method": "plain"}
    with pytest.raises(ValidationError) as caught:
        Params.model_validate({**swept, **rest})
    found = first_mistake(caught.value)
    assert "\n" not in found.message
    return ".".join(found.path), found.message


def label(value: Any) -> str:
    return ".".join(value) if isinstance(value, tuple) else str(value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    (tmp_path / "params.yaml").write_text(SWEPT.format(profile="mini", lr=0.01))
    return tmp_path


def refusal(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(root)
    message = str(caught.value)
    assert "\n" not in message
    return message


def write(root: Path, profile: str, rest: dict[str, Any]) -> list[str]:
    """Writes the profile and names it; returns its lines."""
    (root / "params.yaml").write_text(SWEPT.format(profile=profile, lr=RATES.get(profile, 0.01)))
    file = root / "profiles" / f"{profile}.yaml"
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.dump(rest, file)
    return file.read_text().splitlines()


# --- what is right -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", SHIPPED)
def test_every_shipped_profile_is_sound(root: Path, profile: str) -> None:
    (root / "params.yaml").write_text(SWEPT.format(profile=profile, lr=RATES.get(profile, 0.01)))
    params = load(root)
    assert params.profile == profile
    assert params.lr_range.min <= params.lr <= params.lr_range.max
    assert params.model_dump(exclude={"profile", "lr", "seed", "method"}) == parsed(profile)


def test_the_repository_as_it_stands_is_sound() -> None:
    assert load(ROOT).profile in SHIPPED


@pytest.mark.parametrize(
    ("written", "value"), [("1e-4", 1e-4), ("5e-05", 5e-5), ("5.0e-05", 5e-5), ("0.01", 0.01), ("1.e-3", 1e-3)]
)
def test_a_rate_is_a_number_however_it_is_written(root: Path, written: str, value: float) -> None:
    (root / "params.yaml").write_text(SWEPT.format(profile="mini", lr=written))
    assert math.isclose(load(root).lr, value)
    assert isinstance(load(root).lr, float)


def test_a_parameter_cannot_be_set() -> None:
    with pytest.raises(ValidationError):
        load(ROOT).lr = 1.0  # type: ignore[misc]


# --- every key of every profile ----------------------------------------------------------------------------


@by_section(KEYS)
def test_a_misspelt_key_is_named_with_the_right_one(profile: str, paths: list[Path_]) -> None:
    for path in paths:
        rest = rest_of(profile)
        group, wrong = group_of(rest, path), misspelt(path[-1])
        group[wrong] = group.pop(path[-1])
        where, message = mistake(profile, rest)
        assert where == ".".join((*path[:-1], wrong))
        assert f"did you mean {path[-1]}?" in message
        assert "rename it" in message


@by_section([found for found in KEYS if found[1][:2] != ("report", "tasks") or len(found[1]) != 3])
def test_a_missing_key_is_named(profile: str, paths: list[Path_]) -> None:
    for path in paths:
        rest = rest_of(profile)
        del group_of(rest, path)[path[-1]]
        where, message = mistake(profile, rest)
        assert where == ".".join(path)
        assert "missing; add it" in message


@by_section(KEYS)
def test_a_value_of_the_wrong_type_is_named(profile: str, paths: list[Path_]) -> None:
    for path in paths:
        rest = rest_of(profile)
        group = group_of(rest, path)
        # no key takes a list of lists
        group[path[-1]] = [["wrong"]]
        where, message = mistake(profile, rest)
        assert where in (".".join(path), ".".join((*path, "0")))
        assert " only, not " in message or "unknown" in message


@by_section(NUMBERS)
def test_a_number_in_quotes_is_no_number(profile: str, paths: list[Path_]) -> None:
    for path in paths:
        rest = rest_of(profile)
        group_of(rest, path)[path[-1]] = str(leaf(profile, path))
        where, message = mistake(profile, rest)
        assert where == ".".join(path)
        assert "without quotes" in message


@by_section(NUMBERS)
def test_no_number_may_be_beyond_its_bounds(profile: str, paths: list[Path_]) -> None:
    for path in paths:
        rest = rest_of(profile)
        group_of(rest, path)[path[-1]] = -1
        where, message = mistake(profile, rest)
        assert where == ".".join(path)
        assert "-1 is out of bounds" in message
        if isinstance(leaf(profile, path), float):
            group_of(rest, path)[path[-1]] = math.nan
            assert mistake(profile, rest)[0] == ".".join(path)


@by_section(KEYS)
def test_a_choice_is_one_of_those_listed(profile: str, paths: list[Path_]) -> None:
    for path in paths:
        value = leaf(profile, path)
        rest = rest_of(profile)
        group_of(rest, path)[path[-1]] = f"{value}x"
        try:
            Params.model_validate(
                {"profile": profile, "lr": RATES.get(profile, 0.01), "seed": 1, "method": "plain", **rest}
            )
        except ValidationError as error:
            found = first_mistake(error)
            assert ".".join(found.path) == ".".join(path)
            if "unknown" in found.message:
                assert f"did you mean {value}?" in found.message
            continue
        assert isinstance(value, str | None), "a text of the user's own, or null for none"


@pytest.mark.parametrize(("profile", "path"), KEYS[::37], ids=label)
def test_the_line_is_the_one_to_mend(root: Path, profile: str, path: Path_) -> None:
    rest = rest_of(profile)
    group, wrong = group_of(rest, path), misspelt(path[-1])
    group[wrong] = group.pop(path[-1])
    lines = write(root, profile, rest)
    message = refusal(root)
    place, where = message.split(": ")[:2]
    file, number = place.split(", line ")
    assert file == f"profiles/{profile}.yaml"
    assert where == ".".join((*path[:-1], wrong))
    assert lines[int(number) - 1].strip().startswith(wrong)


# --- the files ---------------------------------------------------------------------------------------------

PARAMS = {
    "no such profile": ("profile: mni\nlr: 0.01\nseed: 1\nmethod: plain\n", "line 1: profile:", "did you mean mini?"),
    "a profile that is no name": ("profile: 3\nlr: 0.01\nseed: 1\nmethod: plain\n", "line 1: profile:", "there are"),
    "a profile outside the folder": ("profile: ../mini\nlr: 0.01\nseed: 1\nmethod: plain\n", "profile:", "there are"),
    "lr a word": ("profile: mini\nlr: high\nseed: 1\nmethod: plain\n", "line 2: lr:", "numbers only, not"),
    "lr in quotes": ('profile: mini\nlr: "1e-3"\nseed: 1\nmethod: plain\n', "line 2: lr:", "without quotes"),
    "lr negative": ("profile: mini\nlr: -1e-3\nseed: 1\nmethod: plain\n", "line 2: lr:", "greater than 0"),
    "lr zero": ("profile: mini\nlr: 0\nseed: 1\nmethod: plain\n", "line 2: lr:", "greater than 0"),
    "lr too high": ("profile: mini\nlr: 0.5\nseed: 1\nmethod: plain\n", "line 2: lr:", "range of profile mini, 1e-05 to 0.03"),
    "lr too low": ("profile: mini\nlr: 1e-9\nseed: 1\nmethod: plain\n", "line 2: lr:", "range of profile mini, 1e-05 to 0.03"),
    "lr not a number": ("profile: mini\nlr: .nan\nseed: 1\nmethod: plain\n", "line 2: lr:", "finite numbers only"),
    "lr without end": ("profile: mini\nlr: .inf\nseed: 1\nmethod: plain\n", "line 2: lr:", "finite numbers only"),
    "lr true": ("profile: mini\nlr: true\nseed: 1\nmethod: plain\n", "line 2: lr:", "numbers only, not"),
    "lr empty": ("profile: mini\nlr:\nseed: 1\nmethod: plain\n", "line 2: lr:", "numbers only, not null"),
    "lr a list": ("profile: mini\nlr: [1e-3, 1e-2]\nseed: 1\nmethod: plain\n", "line 2: lr:", "numbers only, not"),
    "lr of another profile": ("profile: llama2-7b\nlr: 0.01\nseed: 1\nmethod: plain\n", "line 2: lr:", "1e-06 to 0.001"),
    "seed a fraction": ("profile: mini\nlr: 0.01\nseed: 1.5\nmethod: plain\n", "line 3: seed:", "whole numbers only, not"),
    "seed negative": ("profile: mini\nlr: 0.01\nseed: -1\nmethod: plain\n", "line 3: seed:", "greater than or equal to 0"),
    "seed too large": ("profile: mini\nlr: 0.01\nseed: 2147483648\nmethod: plain\n", "line 3: seed:", "less than or equal"),
    "no lr": ("profile: mini\nseed: 1\nmethod: plain\n", "params.yaml: lr is missing", "add it"),
    "no profile": ("lr: 0.01\nseed: 1\nmethod: plain\n", "params.yaml: profile is missing", "add it"),
    "no method": ("profile: mini\nlr: 0.01\nseed: 1\n", "params.yaml: method is missing", "add it"),
    "an unknown method": ("profile: mini\nlr: 0.01\nseed: 1\nmethod: repaly\n", "line 4: method:", "did you mean replay?"),
    "a misspelt key": ("profile: mini\nlr: 0.01\nsed: 1\n", "line 3: sed:", "did you mean seed?"),
    "a key of the profile": ("profile: mini\nlr: 0.01\nseed: 1\nfinetune: {}\n", "line 4: finetune:", "remove it"),
    "a key that is no name": ("profile: mini\nlr: 0.01\nseed: 1\n7: x\n", "line 4: 7:", "unknown key"),
    "twice the same key": ("profile: mini\nlr: 0.01\nlr: 0.02\nseed: 1\nmethod: plain\n", "line 3: not YAML", "duplicate key"),
    "empty": ("", "params.yaml: holds no keys", "key: value"),
    "a list": ("- lr\n- seed\n", "params.yaml: holds no keys", "key: value"),
    "a word": ("mini\n", "params.yaml: holds no keys", "key: value"),
    "an open bracket": ("profile: [mini\nlr: 0.01\nseed: 1\nmethod: plain\n", "not YAML", "fix that line"),
    "a tab": ("profile: mini\n\tlr: 0.01\nseed: 1\nmethod: plain\n", "not YAML", "fix that line"),
    "an object of Python": ("profile: !!python/object:os.system x\nlr: 1\n", "not YAML", "fix that line"),
    "two documents": ("profile: mini\n---\nlr: 0.01\n", "not YAML", "fix that line"),
    "an impossible date": ("profile: 2023-02-31\nlr: 0.01\nseed: 1\nmethod: plain\n", "not YAML", "fix the file"),
}  # fmt: skip


@pytest.mark.parametrize("case", PARAMS)
def test_what_is_wrong_with_params_yaml(root: Path, case: str) -> None:
    text, where, hint = PARAMS[case]
    (root / "params.yaml").write_text(text)
    message = refusal(root)
    assert message.startswith("params.yaml")
    assert where in message
    assert hint in message


def test_a_file_that_is_not_utf8(root: Path) -> None:
    (root / "params.yaml").write_bytes(b"profile: mini # d\xe9faut\nlr: 0.01\n")
    assert refusal(root) == "params.yaml: not UTF-8 (byte 18); save the file as UTF-8"


def test_no_params_yaml(root: Path) -> None:
    (root / "params.yaml").unlink()
    assert refusal(root) == "params.yaml: no such file; restore it with `git checkout -- params.yaml`"


def test_a_folder_where_params_yaml_should_be(root: Path) -> None:
    (root / "params.yaml").unlink()
    (root / "params.yaml").mkdir()
    assert refusal(root).startswith("params.yaml: is a folder")


def test_no_profiles_at_all(root: Path) -> None:
    shutil.rmtree(root / "profiles")
    assert refusal(root).endswith("there are none")
    assert names(root) == []


@pytest.mark.parametrize("name", ["profile", "lr", "seed", "method"])
def test_what_is_swept_may_not_be_in_a_profile(root: Path, name: str) -> None:
    file = root / "profiles" / "mini.yaml"
    file.write_text(f"{file.read_text()}{name}: 1\n")
    message = refusal(root)
    assert message.startswith("profiles/mini.yaml, line ")
    assert f" {name}: belongs to params.yaml" in message


def test_an_empty_profile_lists_its_first_key(root: Path) -> None:
    (root / "profiles" / "mini.yaml").write_text("# nothing\n")
    assert refusal(root) == "profiles/mini.yaml: holds no keys; expected lines of the form `key: value`"
