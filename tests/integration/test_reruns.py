"""Only what changed runs again: by what dvc says of a change, and by what `dvc repro` then runs.

docs/parameters.md holds the same table for people, made from dvc.yaml.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pathspec import PathSpec
from ruamel.yaml import YAML

from tests.conftest import ROOT
from tests.integration.conftest import Clone, copy
from tests.integration.dvc_status import read_status

ALL = [
    "prepare",
    "generate",
    "repair",
    "base",
    "sample",
    "finetune_2b",
    "finetune_2c",
    "predict",
    "drift",
    "judge",
    "eval_3a",
    "probe_3b",
    "report",
]
TUNED = ["finetune_2b", "finetune_2c"]
ASKED = ["generate", "repair"]  # what is asked, and what is read of the answers
MODELS = ["base", "sample", *TUNED, "predict", "drift"]
TINY = "profiles/tiny.yaml"

# What is changed: file, old text, new text; the stages that it makes run again.
CHANGES: dict[str, tuple[str, str, str, list[str]]] = {
    "lr": ("params.yaml", "lr: 0.01", "lr: 0.002", TUNED),
    "lr in another notation": ("params.yaml", "lr: 0.01", "lr: 1.0e-2", []),
    "seed": ("params.yaml", "1222", "7", ["prepare", "generate", *MODELS, "judge", "eval_3a"]),
    "prepare.code.train": (TINY, "train: 60", "train: 61", ["prepare"]),
    "tasks": (TINY, "{role: replayed}", "{role: watched}", ["prepare", "predict", "judge", "eval_3a", "probe_3b"]),
    "judge": (TINY, "judge: null ", "judge: {} ", ["judge"]),
    "predict.max_new_tokens.code": (TINY, "code: 16", "code: 17", ["predict"]),
    "report.tasks": (TINY, "writing code", "programming", []),
    "generate.temperature": (TINY, "temperature: 0.7", "temperature: 0.6", ASKED),
    "generate.teacher.breakage.fence": (TINY, "fence: 0.06", "fence: 0.07", ASKED),
    "repair.reviews.checks": (TINY, "min: 20,", "min: 21,", ["repair"]),
    "chat.template": (TINY, "<|end|>\\n{% endfor %}", "<|end|>\\n\\n{% endfor %}", MODELS),
    "compute.threads": (TINY, "threads: 1", "threads: 2", MODELS),
    "base.model.epochs": (TINY, "    epochs: 2", "    epochs: 3", ["base"]),
    "lr_range.max": (TINY, "max: 3.0e-2", "max: 2.0e-2", []),
    "compute.precision": (TINY, "precision: fp32", "precision: bf16", MODELS),
    "finetune.lora.rank": (TINY, "rank: 4", "rank: 8", ["base", *TUNED]),
    "finetune_2b.epochs": (TINY, "epochs: 2             # passes over the replies", "epochs: 3", ["finetune_2b"]),
    "finetune_2c.epochs": (TINY, "epochs: 1             # passes", "epochs: 2  # passes", ["finetune_2c"]),
    "method": ("params.yaml", "method: plain", "method: replay", ["sample", "finetune_2b"]),
    "another method's parameters": (TINY, "share: 0.05", "share: 0.1", []),
    "finetune_2b.sample.answer_tokens": (TINY, "answer_tokens: 96", "answer_tokens: 95", ["sample"]),
    "finetune_2c.share": (TINY, "share: 1.0", "share: 0.5", ["finetune_2c"]),
    "launch": (TINY, "kind: single", "kind: torchrun", ["base", *TUNED]),  # answers are the same bytes
    "predict.scales": (TINY, "  scales: []", "  scales: [0.5]", ["predict"]),
    "predict.batch_size": (TINY, "batch_size: 64", "batch_size: 32", ["predict"]),
    "drift.answer_tokens": (TINY, "answer_tokens: 64", "answer_tokens: 63", ["drift"]),
    "eval_3a.resamples": (TINY, "resamples: 100", "resamples: 200", ["eval_3a"]),
    "eval_3a.swaps": (TINY, "swaps: 1000", "swaps: 2000", ["eval_3a"]),
    "seeds": (TINY, "seeds: []", "seeds: [5]", [*TUNED, "predict", "drift", "eval_3a"]),
    "sandbox.execute": (TINY, "execute: best_effort", "execute: off", ["eval_3a", "probe_3b"]),
    "probe_3b.ngram": (TINY, "ngram: 4", "ngram: 5", ["probe_3b"]),
    "a comment in the profile": (TINY, "# texts; each gives two replies", "# texts, two replies each", []),
    "a comment in params.yaml": ("params.yaml", "seed: 1222", "seed: 1222  # drawn once", []),
    "another profile": ("profiles/mini.yaml", "ngram: 4", "ngram: 5", []),
    "the probes": ("data/sources/tiny/probes.yaml", "about the sea", "about a sea", ["prepare", "predict", "probe_3b"]),
    "the prompt": ("prompts/agree_disagree.j2", "two or three", "three or four", [*ASKED, "judge"]),
    "the criterion": ("prompts/better.j2", "well put", "well said", [*ASKED, "judge"]),
    "how a judge is read": ("relearn/judge/asking.py", '"""', '"""\n', ["judge"]),
    "the code of a metric": ("relearn/metrics/codebleu.py", '"""', '"""\n', ["eval_3a", "report"]),
    "a skill": ("relearn/skills/ordering.yaml", "max_new_tokens: 64", "max_new_tokens: 65", ["prepare"]),
    "the code of a check": ("relearn/evaluation/checks/text.py", '"""', '"""\n', ["eval_3a", "probe_3b"]),
    "what counts as code": ("relearn/metrics/code/find.py", '"""', '"""\n', ["eval_3a", "probe_3b", "report"]),
    "eval_3a.metrics.code": (TINY, "code: [codebleu, pass_at_1,", "code: [pass_at_1, codebleu,", ["eval_3a"]),
    "what a task is called": (TINY, "label: writing code", "label: programming", []),  # report alone: see `shows`
    "what a metric is": ("relearn/report/words.py", "likeness in meaning", "closeness in meaning", ["report"]),
    "the wording of the table": ("relearn/report/table.py", "Brackets: ", "In brackets: ", ["report"]),
    "an error of a parameter": ("relearn/params/wording.py", "unknown key", "no such key", []),
    "what a parameter is": ("relearn/params/finetune.py", "Rank of the update.", "The rank.", []),
    "an error of the teacher": ("relearn/endpoint/errors.py", '"""', '"""\n', []),
    "an error of a file system": ("stages/run.py", "free some space", "make room", []),
    "progress": ("relearn/progress.py", '"""', '"""\n', []),
    "a command's help": ("relearn/repair/command.py", '"""', '"""\n', []),
    "what remedies were found": ("data/remedies/README.md", "#", "# ", ["report"]),
    "the readme": ("README.md", "#", "# ", []),
}  # fmt: skip


@pytest.fixture(scope="module")
def changed(reproduced: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return copy(reproduced, tmp_path_factory.mktemp("changed"))


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_runs_only_what_reads_it(changed: Clone, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    file, old, new, expected = CHANGES[name]
    before = (changed.folder / file).read_text(encoding="utf-8")
    monkeypatch.chdir(changed.folder)
    changed.edit(file, old, new)
    try:
        found = list(read_status(changed.folder))
    finally:
        (changed.folder / file).write_text(before, encoding="utf-8")
    # the report shows every parameter
    shows = (
        file in ("params.yaml", TINY)
        and old.split("#")[0].strip() != new.split("#")[0].strip()
        and "notation" not in name
    )
    assert [stage for stage in ALL if stage in found] == [*expected, *(["report"] if shows else [])]


# --- what is trained on --------------------------------------------------------------------------------------

WATCHED = {
    "tasks": {"riddles": {"role": "watched"}},
    "prepare": {
        "riddles": {
            "source": {
                "kind": "files", "path": "riddles.jsonl",
                "columns": {"form": "messages", "messages": "messages", "tests": None, "group": None},
            },
            "train": 0, "val": 0, "test": 5, "max_chars": {"prompt": None, "response": None},
        }
    },
    "predict": {"max_new_tokens": {"riddles": 12}},
    "eval_3a": {"metrics": {"riddles": ["rouge_l", "bpb"]}},
}  # fmt: skip
NO_TRAINING: dict[str, dict[str, Any]] = {
    "the test size of a replayed task": {"prepare": {"code": {"test": 15}}},
    "the test size of a watched task": {"prepare": {"general": {"test": 13}}},
    "the test size of a new task": {"prepare": {"reviews": {"test": 10}}},
    "a further watched task": WATCHED,
}


def merge(tree: Any, changes: Any) -> None:
    for name, value in changes.items():
        if isinstance(value, dict) and name in tree:
            merge(tree[name], value)
        else:
            tree[name] = value


@pytest.mark.parametrize("name", NO_TRAINING)
def test_what_only_the_scores_read_trains_nothing(run_clone: Clone, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    yaml = YAML()
    tree = yaml.load(run_clone.folder / TINY)
    merge(tree, NO_TRAINING[name])
    yaml.dump(tree, run_clone.folder / TINY)
    turns = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]
    talks = [{"messages": [{**turns[0], "content": f"What is number {n}?"}, turns[1]]} for n in range(5)]
    lines = "".join(json.dumps(talk) + "\n" for talk in talks)
    held_out = [run_clone.folder / "data" / name for name in ("held_out.jsonl", "held_out_sources.jsonl")]
    before = [file.read_bytes() for file in held_out]
    (run_clone.folder / "data" / "sources" / "tiny" / "riddles.jsonl").write_text(lines)
    run_clone.python("tests.integration.chain", "prepare", "generate", "repair")
    assert [file.read_bytes() for file in held_out] != before
    monkeypatch.chdir(run_clone.folder)
    found = list(read_status(run_clone.folder))
    assert "predict" in found
    assert [stage for stage in found if stage in ("base", *TUNED)] == []


# --- what the stages of dvc.yaml list ----------------------------------------------------------------------

# What no output depends on.
IGNORED = PathSpec.from_lines("gitwildmatch", (ROOT / ".dvcignore").read_text(encoding="utf-8").splitlines())


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """The tree's nodes but for what is there for type checkers alone."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"):
            yield from nodes(child)


@cache
def imported(file: Path) -> list[Path]:
    """The project's own modules that a file imports, as paths from the root."""
    places = []
    for node in nodes(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in found:
            if name.split(".")[0] in ("relearn", "stages"):
                place = Path(*name.split("."))
                for candidate in (place.with_suffix(".py"), place / "__init__.py"):
                    if (ROOT / candidate).is_file():
                        places.append(candidate)
    return places


def run_by(stage: str) -> set[str]:
    """Every module of the project that a stage can import."""
    found: set[Path] = set()
    left = [Path("stages") / f"{stage}.py"]
    while left:
        file = left.pop()
        if file not in found:
            found.add(file)
            left += imported(file)
    return {str(file) for file in found}


STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_the_code_it_runs(stage: str) -> None:
    listed = STAGES[stage]["deps"]
    missing = [
        file
        for file in sorted(run_by(stage))
        if not IGNORED.match_file(file) and not any(file == dep or file.startswith(f"{dep}/") for dep in listed)
    ]
    assert missing == [], f"a change of these would not run {stage} again"


def test_a_package_file_only_looks_up_names() -> None:
    for file in (path.relative_to(ROOT) for path in ROOT.glob("relearn/**/__init__.py")):
        if not IGNORED.match_file(file):
            continue
        for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
            named = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            assert named or text or isinstance(node, ast.Import | ast.ImportFrom), file


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_lists_is_there(stage: str) -> None:
    made = {
        str(next(iter(out)) if isinstance(out, dict) else out)
        for block in STAGES.values()
        for section in ("outs", "metrics", "plots")
        for out in block.get(section, ())
    }
    for dep in STAGES[stage]["deps"]:
        shown = dep.replace("${profile}", "mini").replace("${method}", "plain")
        assert (ROOT / shown).exists() or dep in made, f"{stage}: {dep} does not exist"
    assert STAGES[stage]["desc"]


# --- what dvc repro runs -----------------------------------------------------------------------------------


def ran(output: str) -> list[str]:
    """The stages that ran, by what dvc said."""
    return re.findall(r"^Running stage '(\w+)':", output, flags=re.MULTILINE)


def own_reviews(clone: Clone) -> None:
    """The sample of `files` as the tiny profile's sources: a size that takes a minute."""
    file = clone.folder / TINY
    yaml = YAML()
    tiny, files = yaml.load(file), yaml.load(clone.folder / "profiles" / "files.yaml")
    for task, rows in tiny["prepare"].items():
        if task != "near_duplicates":
            rows["source"] = files["prepare"][task]["source"]
    yaml.dump(tiny, file)
    for source in (clone.folder / "data" / "sources" / "files").iterdir():
        if source.name != "probes.yaml":
            (clone.folder / "data" / "sources" / "tiny" / source.name).write_bytes(source.read_bytes())


@pytest.mark.timeout(1800)
def test_repro_runs_only_what_changed(run_clone: Clone) -> None:
    clone = run_clone
    assert ran(clone.run("dvc", "repro").stdout) == []

    clone.edit(TINY, "# texts; each gives two replies", "# two replies each")
    assert ran(clone.run("dvc", "repro").stdout) == []

    clone.edit("params.yaml", "lr: 0.01", "lr: 0.002")
    with_another_rate = ran(clone.run("dvc", "repro").stdout)
    assert sorted(set(with_another_rate) & set(ALL)) == sorted(
        [*TUNED, "predict", "drift", "judge", "eval_3a", "probe_3b", "report"]
    )

    clone.edit(TINY, "resamples: 100", "resamples: 150")
    with_more_resamples = ran(clone.run("dvc", "repro").stdout)
    assert [stage for stage in with_more_resamples if stage in ALL] == ["eval_3a", "report"]

    # back: everything comes from the run cache
    clone.run("git", "checkout", "--", "params.yaml", TINY)
    back = clone.run("dvc", "repro")
    assert ran(back.stdout) == []
    assert "is cached - skipping run" in back.stdout
    assert clone.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."


@pytest.mark.timeout(1800)
def test_one_review_runs_what_follows_it(run_clone: Clone) -> None:
    clone = run_clone
    own_reviews(clone)
    assert ran(clone.run("dvc", "repro").stdout)[:3] == ["prepare", "generate", "repair"]
    reviews = clone.folder / "data" / "sources" / "tiny" / "reviews.csv"
    text = reviews.read_text(encoding="utf-8")
    first, *_ = (clone.folder / "data" / "sources.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = json.loads(first)["fields"]["text"]
    changed = text.replace(chosen, f"Well. {chosen}", 1)
    assert changed != text
    reviews.write_text(changed, encoding="utf-8")
    assert sorted(set(ran(clone.run("dvc", "repro").stdout)) & set(ALL)) == sorted(ALL)
    reviews.write_text(text, encoding="utf-8")
    assert ran(clone.run("dvc", "repro").stdout) == []
