"""The profile that docs/judge.md shows is sound, and `relearn plan` counts what its judge would be asked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from relearn.errors import InputError
from relearn.params import Params, load
from stages.paths import Paths
from stages.plan.amounts import Amounts
from stages.plan.profile import price_judge
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that holds the mini profile with the documented judge."""
    text = (ROOT / "docs" / "judge.md").read_text(encoding="utf-8")
    documented = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert documented is not None
    yaml = YAML()
    profile = yaml.load((ROOT / "profiles" / "mini.yaml").read_text(encoding="utf-8"))
    profile |= yaml.load(documented[1])
    (tmp_path / "profiles").mkdir()
    yaml.dump(profile, tmp_path / "profiles" / "mini.yaml")
    (tmp_path / "params.yaml").write_text("profile: mini\nlr: 0.01\nseed: 1\nmethod: plain\n")
    return tmp_path


def change(project: Path, old: str, new: str) -> Params:
    file = project / "profiles" / "mini.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return load(project)


def test_the_documented_judge_is_sound_and_its_requests_are_counted(project: Path) -> None:
    params, paths = load(project), Paths.of(project)
    found = price_judge(params, paths, Amounts(params, paths))
    assert found is not None
    # 100 of 220 prompts, three pairs of models, two orders
    assert (found["requests"], found["cost"]) == (600, None)
    assert "at most 0.06 USD" in found["lines"][0]
    off = params.model_copy(update={"judge": None})
    assert price_judge(off, paths, Amounts(off, paths)) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tasks: [general]", "tasks: [general, poems]", "judge.tasks.1: poems is not a task"),
        ("tasks: [general]", "tasks: [general, general]", "judge.tasks.1: general is listed twice"),
        ("max_tokens_limit: 256\n  response_format: json", "max_tokens_limit: 6\n  response_format: json", "max_tokens_limit is below max_tokens"),
    ],
)  # fmt: skip
def test_a_judge_that_cannot_be_asked_is_refused(project: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        change(project, old, new)
