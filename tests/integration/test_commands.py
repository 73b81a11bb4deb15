"""What users type, literally, in a fresh clone whose git knows no user name.

`profiles/mini.yaml` and `profiles/files.yaml` are the tiny profile under those names, so that every command can be
here as it is in the documentation.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import time

import pytest
from ruamel.yaml import YAML

from tests.integration.conftest import Clone, copy
from tests.integration.test_reruns import ran

pytestmark = pytest.mark.timeout(3000)

TUNING = ["finetune_2b", "finetune_2c", "predict", "eval_3a", "probe_3b"]


def swept(clone: Clone) -> dict[str, object]:
    values: dict[str, object] = YAML(typ="safe").load(clone.folder / "params.yaml")
    return values


def mini_is_tiny(clone: Clone) -> None:
    """The clone's mini and files become tiny; the names, the sources and the commands stay."""
    yaml = YAML()
    tiny = yaml.load(clone.folder / "profiles" / "tiny.yaml")
    files = yaml.load(clone.folder / "profiles" / "files.yaml")
    yaml.dump(tiny, clone.folder / "profiles" / "mini.yaml")
    for task, rows in tiny["prepare"].items():
        if task != "near_duplicates":
            rows["source"] = files["prepare"][task]["source"]
    yaml.dump(tiny, clone.folder / "profiles" / "files.yaml")
    clone.edit("params.yaml", "profile: tiny", "profile: mini")
    clone.commit("mini at the size of tiny")


@pytest.fixture(scope="module")
def user(pristine: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """One user's clone. The tests below are what this user does, in this order."""
    clone = copy(pristine, tmp_path_factory.mktemp("user"))
    mini_is_tiny(clone)
    assert clone.run("git", "config", "user.name", check=False).stdout == ""
    assert clone.run("git", "commit", "--allow-empty", "-m", "x", check=False).returncode != 0
    # `make repro` begins with this; the rest of it is `dvc repro`, below.
    said = clone.run("make", "--silent", "identity").stdout
    assert "git has no user name" in said
    assert clone.run("make", "--silent", "identity").stdout == "", "once"
    return clone


def test_dvc_repro(user: Clone) -> None:
    first = user.run("dvc", "repro")
    assert set(TUNING) <= set(ran(first.stdout))
    assert ran(user.run("dvc", "repro").stdout) == []
    user.commit("The first run")  # as a person would, with a name given


def test_dvc_metrics_show(user: Clone) -> None:
    shown = user.run("dvc", "metrics", "show").stdout
    for name in ("metrics/eval_3a/base.json", "metrics/eval_3a/2b.json", "metrics/eval_3a/2c.json", "code.codebleu"):
        assert name in shown
    values = json.loads(user.run("dvc", "metrics", "show", "--json").stdout)
    (found,) = values.values()
    assert set(found["data"]) == {f"metrics/eval_3a/{model}.json" for model in ("base", "2b", "2c")}


def test_dvc_dag_and_stage_list(user: Clone) -> None:
    dag = user.run("dvc", "dag").stdout
    listed = user.run("dvc", "stage", "list").stdout
    for stage in ("prepare", "generate", "repair", "base", *TUNING):
        assert stage in dag
        assert re.search(rf"^{stage}\s+\S", listed, re.MULTILINE), "each stage has a description"


def test_dvc_exp_run_with_another_rate(user: Clone) -> None:
    said = user.run("dvc", "exp", "run", "-S", "lr=1e-4").stdout
    assert [stage for stage in ran(said) if stage in TUNING] == TUNING
    assert not {"prepare", "generate", "repair", "base"} & set(ran(said))
    assert swept(user)["lr"] == 1e-4


def test_dvc_metrics_diff(user: Clone) -> None:
    table = user.run("dvc", "metrics", "diff", "--md").stdout
    assert table.startswith("| Path")
    assert "bpb" in table, "another rate gives another loss"


def test_dvc_params_diff(user: Clone) -> None:
    found = json.loads(user.run("dvc", "params", "diff", "--json").stdout)
    (difference,) = found.values()
    assert set(difference) == {"lr"}
    assert (difference["lr"]["old"], difference["lr"]["new"]) == (0.01, 0.0001)


def test_dvc_plots(user: Clone) -> None:
    for command in ("show", "diff"):
        user.run("dvc", "plots", command, "--out", "plots")
        page = (user.folder / "plots" / "index.html").read_text(encoding="utf-8")
        assert "losses" in page
        assert "update" in page, "the axis has its title"
    user.run("rm", "-r", "plots")


def test_a_rate_is_a_float(user: Clone) -> None:
    """PyYAML reads 5e-05, which dvc writes, as a text."""
    user.run("dvc", "exp", "run", "-S", "lr=5e-5")
    rate = swept(user)["lr"]
    assert isinstance(rate, float)
    assert rate == 5e-5
    provenance = json.loads((user.folder / "models" / "2b" / "provenance.json").read_text())
    assert provenance["lr"] == 5e-5


def test_a_rate_and_back_trains_nothing(user: Clone) -> None:
    for rate in ("1e-4", "0.01"):
        said = user.run("dvc", "exp", "run", "-S", f"lr={rate}").stdout
        assert ran(said) == [], "the run cache has it"
    assert ran(user.run("dvc", "repro").stdout) == []
    table = user.run("dvc", "metrics", "diff", "--md").stdout.splitlines()
    assert not [line for line in table if line.startswith("| metrics/")], "no score differs"


def test_a_key_of_the_profile(user: Clone) -> None:
    said = user.run("dvc", "exp", "run", "-S", "profiles/mini.yaml:finetune_2b.epochs=1").stdout
    assert [stage for stage in ran(said) if stage in TUNING] == TUNING
    assert not {"prepare", "generate", "repair", "base"} & set(ran(said))
    written = YAML(typ="safe").load(user.folder / "profiles" / "mini.yaml")
    assert written["finetune_2b"]["epochs"] == 1
    assert json.loads((user.folder / "models" / "2b" / "provenance.json").read_text())["epochs"] == 1
    user.run("git", "checkout", "--", "profiles/mini.yaml")
    assert ran(user.run("dvc", "repro").stdout) == []


def test_another_profile_stays(user: Clone) -> None:
    said = user.run("dvc", "exp", "run", "-S", "profile=files").stdout
    assert ran(said)[0] == "prepare"
    assert swept(user)["profile"] == "files"
    assert ran(user.run("dvc", "repro").stdout) == []
    assert swept(user)["profile"] == "files"
    code = (user.folder / "data" / "train.jsonl").read_text(encoding="utf-8")
    # back, and forth again: nothing is trained
    assert ran(user.run("dvc", "exp", "run", "-S", "profile=mini").stdout) == []
    assert (user.folder / "data" / "train.jsonl").read_text(encoding="utf-8") != code
    assert ran(user.run("dvc", "exp", "run", "-S", "profile=files").stdout) == []
    assert (user.folder / "data" / "train.jsonl").read_text(encoding="utf-8") == code
    assert ran(user.run("dvc", "exp", "run", "-S", "profile=mini").stdout) == []


def test_a_queue(user: Clone) -> None:
    user.run("dvc", "exp", "run", "--queue", "-S", "lr=2e-3,1e-2")
    status = user.run("dvc", "queue", "status").stdout
    assert status.count("Queued") == 2
    user.run("dvc", "queue", "start")
    for _ in range(600):
        tasks = user.run("dvc", "queue", "status").stdout.split("Worker status")[0]
        if "Queued" not in tasks and "Running" not in tasks:
            break
        time.sleep(3)
    assert tasks.count("Success") == 2, tasks


def test_make_sweep(user: Clone) -> None:
    for rates in ("3e-3", "3e-3"):  # the second time in the place of the first
        # Not made again: the environment that tests run in would then have this clone's package, and keep it.
        as_it_is = ("--old-file", f"{sys.prefix}/.relearn-requirements")
        swept = user.run("make", *as_it_is, "sweep", f"RATES={rates}", check=False, VIRTUAL_ENV=sys.prefix)
        assert not {"prepare", "generate", "repair", "base"} & set(ran(swept.stdout))
        assert "Reproducing experiment 'lr-3e-3'" in swept.stdout
        # a base as small as tiny's scores nothing on code, and then there is no frontier to draw
        assert swept.returncode == 0 or "base scores nothing on code" in swept.stderr, swept.stderr
    assert user.run("dvc", "exp", "list", "--name-only").stdout.split().count("lr-3e-3") == 1


def test_dvc_exp_show(user: Clone) -> None:
    table = user.run("dvc", "exp", "show", COLUMNS="4000").stdout
    assert "code.codebleu" in table
    assert "0.0001" in table
    rows = list(csv.DictReader(io.StringIO(user.run("dvc", "exp", "show", "--csv").stdout)))
    rates = {float(row["lr"]) for row in rows if row["lr"]}
    assert {1e-4, 5e-5, 2e-3, 1e-2} <= rates
    assert any(row["profiles/mini.yaml:finetune_2b.epochs"] == "1" for row in rows)
    metric = "metrics/eval_3a/2b.json:reviews.bpb"
    assert all(row[metric] for row in rows if row["lr"] and row["Experiment"])


def test_nothing_was_left_behind(user: Clone) -> None:
    assert user.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    assert "Please tell me who you are" not in user.run("dvc", "exp", "list").stderr
    named = user.run("git", "config", "--show-scope", "user.name").stdout
    assert named.split(None, 1) == ["local", "relearn user\n"], "in this clone alone"
