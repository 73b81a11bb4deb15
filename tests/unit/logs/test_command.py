"""`relearn compare --logs`: gates and statuses, what is written, and that it is light and quick."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from markdown_it import MarkdownIt

from relearn.compare.command import command
from relearn.compare.logs.gates import read_file, read_gate
from relearn.errors import InputError
from tests.unit.logs import made


def run(*arguments: object, environment: dict[str, str] | None = None) -> Result:
    found = CliRunner().invoke(command, [str(one) for one in arguments], env=environment)
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def logs(tmp_path: Path, lost: int, samples: int = 1000) -> list[object]:
    """Options for a base that is right in 80% and a tuned that lost so many of them."""
    right = samples * 8 // 10
    base = [1] * right + [0] * (samples - right)
    return ["--logs", made.binary(tmp_path / "base", base), made.binary(tmp_path / "tuned", [0] * lost + base[lost:])]


@pytest.mark.parametrize(
    ("lost", "gate", "status", "said"),
    [
        (0, "acc=1pt", 0, "proven within 1pt"),
        (0, "acc=0.3pt", 4, "undecided about 0.3pt"),
        (60, "acc=2pt", 3, "proven worse than 2pt: 6pt lost"),
        (20, "acc=2pt", 4, "no number of samples would decide"),
        (10, "arith.acc=3%", 0, "proven within 3%: 1.25% lost"),
        (10, "*.acc=2%", 4, "draw a new sample of that size, do not top this one up"),
    ],
)
def test_a_gate_has_three_answers(tmp_path: Path, lost: int, gate: str, status: int, said: str) -> None:
    found = run(*logs(tmp_path, lost), "--require-within", gate)
    assert found.exit_code == status
    assert said in found.output


def test_undecided_names_the_sample_that_would_decide(tmp_path: Path) -> None:
    found = run(*logs(tmp_path, 0, 200), "--require-within", "acc=1pt", "--out", tmp_path / "out")
    (ruling,) = json.loads((tmp_path / "out" / "comparison.json").read_text())["gates"]
    assert found.exit_code == ruling["status"] == 4
    assert f"about {ruling['samples_to_decide']} samples would decide" in ruling["reason"]
    enough = run(*logs(tmp_path, 0, ruling["samples_to_decide"] // 10 * 10 + 10), "--require-within", "acc=1pt")
    assert enough.exit_code == 0


def test_status_is_the_first_of_1_3_4_0(tmp_path: Path) -> None:
    lossy, zero = (
        logs(tmp_path, 60),
        ["--logs", *[made.binary(tmp_path / name, [0] * 50) for name in ("zero", "none")]],
    )
    within, worse, undecided = "acc=20pt", "acc=2pt", "acc=6pt"
    assert run(*lossy, "--require-within", within, "--require-within", undecided).exit_code == 4
    assert run(*lossy, "--require-within", undecided, "--require-within", worse).exit_code == 3
    assert run(*zero, "--require-within", "acc=50pt", "--require-within", "acc=5%").exit_code == 1, "base scores 0"


def test_fail_above_keeps_its_meaning(tmp_path: Path) -> None:
    assert run(*logs(tmp_path, 60), "--fail-above", "acc=5%").exit_code == 3
    assert run(*logs(tmp_path, 60), "--fail-above", "acc=0.05").exit_code == 3
    passed = run(*logs(tmp_path, 60), "--fail-above", "acc=7%")
    assert passed.exit_code == 0
    assert "not shown to be more than 7%" in passed.output


def four_choices(folder: Path, right: int, number: int) -> list[object]:
    """Two runs that score alike: `right` of `number`."""
    values = [1] * right + [0] * (number - right)
    return ["--logs", *[made.binary(folder / name, values) for name in ("base", "tuned")]]


def test_a_relative_gate_holds_only_where_base_is_above_the_floor(tmp_path: Path) -> None:
    guessing, able = four_choices(tmp_path / "g", 110, 400), four_choices(tmp_path / "a", 320, 400)
    for gate in ("--fail-above", "--require-within"):
        assert run(*guessing, gate, "acc=15%").exit_code == 0
        unjudged = run(*guessing, gate, "acc=15%", "--floor", "acc=0.25")
        assert unjudged.exit_code == 1
        assert "base scores 0.275, not significantly above 0.25" in " ".join(unjudged.output.split())
        assert run(*able, gate, "acc=15%", "--floor", "acc=25%").exit_code == 0
    # points need no floor
    assert run(*guessing, "--require-within", "acc=5pt", "--floor", "acc=0.25").exit_code == 0


def test_a_loss_is_told_whatever_the_floor(tmp_path: Path) -> None:
    assert run(*logs(tmp_path, 60), "--fail-above", "acc=5%", "--floor", "acc=0.99").exit_code == 3


def test_fail_above_cannot_be_judged_on_too_few_samples(tmp_path: Path) -> None:
    few = run(*four_choices(tmp_path, 3, 3), "--fail-above", "acc=5%")
    assert few.exit_code == 1
    assert "even a total loss would not be significant" in " ".join(few.output.split())


def test_a_floor_is_a_share_that_some_gate_has(tmp_path: Path) -> None:
    for floor, said in (
        ("acc", "expected METRIC=X"),
        ("acc=2pt", "expected METRIC=X"),
        ("f1=0.1", "no gate judges it"),
    ):
        found = run(*logs(tmp_path, 0), "--fail-above", "acc=5%", "--floor", floor)
        assert found.exit_code == 1
        assert said in found.output
    file = tmp_path / "gates.yaml"
    file.write_text("fail_above:\n  acc: 5%\nfloor:\n  acc: 25%\n")
    assert read_file(file)[1] == {"acc": 0.25}


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("acc=2", "2% (relative to base) or 2pt"),
        ("acc=0.02", "0.02 of what? Write 2% (relative to base) or 2pt"),
        ("acc", "expected METRIC=X"),
        ("acc=-1%", "expected METRIC=X"),
        ("acc=0pt", "above 0"),
        ("acc=nan%", "METRIC=X"),
        ("acc=1e999%", "METRIC=X"),
    ],
)
def test_a_margin_says_what_it_is_of(gate: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read_gate("require_within", gate)
    assert said in str(refused.value)


def test_a_share_above_1_is_a_percentage_that_lacks_its_sign(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="acc=5: 5 is 500% of base; write 5%"):
        read_gate("fail_above", "acc=5")
    assert read_gate("fail_above", "acc=1").margin == 1


def test_a_metric_that_is_not_in_the_logs_is_a_mistake(tmp_path: Path) -> None:
    found = run(*logs(tmp_path, 0), "--require-within", "f1=2%")
    assert found.exit_code == 1
    assert "choose from acc" in found.output


def test_no_gate_holds_over_a_task_that_has_no_scores_on_one_side(tmp_path: Path) -> None:
    def log(name: str, second: object) -> Path:
        rows = [
            row
            for task, score in (("one", 1), ("two", second), ("three", 1))
            for row in made.plain_rows([score] * 300, task=task)
        ]
        return made.write_lines(tmp_path / f"{name}.jsonl", rows)

    whole, null = log("whole", 1), log("null", None)
    for paths in ((whole, null), (null, whole)):
        for gate in ("acc=2pt", "*.acc=2pt", "total.acc=2pt", "two.acc=2pt"):
            found = run("--logs", *paths, "--require-within", gate)
            assert found.exit_code == 1, gate
            assert "two has no acc to compare: a sample has null instead of a number" in found.output
        assert run("--logs", *paths, "--require-within", "one.acc=2pt").exit_code == 0
        seen = run("--logs", *paths).stdout
        assert "not compared: two acc" in seen
        assert "1 more without scores to compare" in seen


def test_no_gate_judges_other_generation_settings_or_few_shot_examples(tmp_path: Path) -> None:
    samples = [made.inspect_sample(f"q{i}", 1, {"match": "C"}) for i in range(300)]

    def inspect(name: str, **config: object) -> Path:
        return made.write_inspect(
            tmp_path / f"{name}.json", samples, plan={"steps": [{"solver": "generate"}], "config": config}
        )

    def shots(name: str, number: int) -> Path:
        rows = [made.lm_eval_row(i, {"acc": 1.0}, arguments=None, prompt_hash=None) for i in range(300)]
        return made.write_lm_eval(tmp_path / name, {"arith": rows}, {"n-shot": {"arith": number}})

    warm = inspect("warm", temperature=0.7, max_tokens=12, batch=8, max_connections=4, seed=1)
    for paths, metric, said in (
        ((warm, inspect("cold", temperature=0.0, max_tokens=512)), "match", "temperature, max_tokens differ"),
        ((shots("five", 5), shots("none", 0)), "acc", "few-shot examples differ"),
    ):
        for gate in ("--require-within", "--fail-above"):
            found = run("--logs", *paths, gate, f"{metric}=5%")
            assert found.exit_code == 1
            assert f"{said} between the runs" in found.output
            assert "1 cannot be compared because the prompts or settings differ" in found.output
            assert run("--logs", *paths, gate, f"{metric}=5%", "--allow-other-prompts").exit_code == 0
    other = inspect("other", temperature=0.7, max_tokens=12, batch=64, max_connections=9, seed=2, timeout=5)
    assert run("--logs", warm, other, "--require-within", "match=5%").exit_code == 0


def test_a_file_of_gates(tmp_path: Path) -> None:
    file = tmp_path / "gates.yaml"
    file.write_text("require_within:\n  acc: 20pt\n  '*.acc': 30%\nfail_above:\n  arith.acc: 0.05\n")
    assert [(gate.kind, gate.target, gate.relative) for gate in read_file(file)[0]] == [
        ("require_within", "acc", False),
        ("require_within", "*.acc", True),
        ("fail_above", "arith.acc", True),
    ]
    assert run(*logs(tmp_path, 60), "--gates", file).exit_code == 3
    file.write_text("# for *bob & !me\nrequire_within:\n  acc: 2pt  # or *less\n")
    assert [gate.target for gate in read_file(file)[0]] == ["acc"]
    for text, said in (
        ("require_within:\n  acc: 2pt\n  acc: 3pt\n", r'line 3: not YAML \(found duplicate key "acc"'),
        ("require_within:\n  *.acc: 2pt\n", "quote"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=said):
            read_file(file)
    for text in (
        "acc: 2%",
        "require_within: [acc]",
        "require_within: {acc: 2}",
        "a: &x [*x]",
        "require_within: !!python/name:os.system x",
        "{" * 2000,
        "",
    ):
        file.write_text(text)
        found = run(*logs(tmp_path, 0), "--gates", file)
        assert found.exit_code == 1, text
        assert "gates.yaml" in found.output


def test_options_of_models_and_of_logs_do_not_mix(tmp_path: Path) -> None:
    assert run(*logs(tmp_path, 0), "--base", "x").exit_code == 2
    assert run("--base", "x", "--cluster", "topic").exit_code == 2
    gate = run("--base", "x", "--require-within", "acc=2%")
    assert gate.exit_code == 2
    assert "--require-within cannot be used without --logs; with models, --fail-above is the gate" in gate.output


def test_results_go_into_a_folder(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("mine")
    found = run(*logs(tmp_path, 0), "--out", tmp_path / "results")
    assert found.exit_code == 2
    assert "results: is a file; name a folder" in found.output
    assert (tmp_path / "results").read_text() == "mine"


def test_what_is_written(tmp_path: Path) -> None:
    out, summary = tmp_path / "out", tmp_path / "summary.md"
    summary.write_text("before\n")
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    found = run(
        *logs(tmp_path, 60),
        "--require-within",
        "acc=2pt",
        "--out",
        out,
        "--markdown",
        tmp_path / "pr.md",
        "--junit",
        tmp_path / "j.xml",
        environment={"GITHUB_STEP_SUMMARY": str(summary)},
    )
    assert found.exit_code == 3
    text = (tmp_path / "pr.md").read_text()
    assert text == (out / "compare.md").read_text()
    assert summary.read_text() == "before\n" + text + "\n"
    assert "A gate fails" in text
    assert "| `arith` | `acc`" in text
    suite = ElementTree.fromstring((tmp_path / "j.xml").read_text())
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("1", "1")
    change = json.loads((out / "comparison.json").read_text())["comparisons"][0]["changes"][0]
    assert (change["before"], change["after"], change["worse"], change["words"]) == (0.8, 0.74, 60, "worse")
    assert json.loads((out / "metrics.json").read_text())["arith"]["acc"]["difference"] == pytest.approx(-0.06)
    rows = parquet.read_table(out / "samples.parquet").to_pylist()
    assert len(rows) == 1000
    assert rows[0] == {
        "from": "base",
        "to": "tuned",
        "task": "arith",
        "metric": "acc",
        "better": "higher",
        "id": "0",
        "cluster": 0,
        "weight": 1.0,
        "before": 1.0,
        "after": 0.0,
    }
    assert "What changed between these models" in (out / "compare.html").read_text()


def in_a_shell(tmp_path: Path, command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    started = "import sys; from relearn.cli import main; sys.argv[0] = 'relearn'; main()"
    return subprocess.run(
        ["bash", "-c", command.replace("RELEARN", f'"{sys.executable}" -c "{started}"')],
        cwd=tmp_path, env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin:/bin", **environment},
        capture_output=True, check=False,
    )  # fmt: skip


def test_neither_a_closed_output_nor_its_encoding_changes_the_status(tmp_path: Path) -> None:
    name = "\u2014 \u4efb\u52a1"  # latin-1 has neither
    for side, lost in (("base", 0), ("tuned", 300)):
        rows = made.plain_rows([0] * lost + [1] * (1000 - lost), task=name)
        made.write_lines(tmp_path / f"{side}.jsonl", rows)
    asked = "RELEARN compare --logs base.jsonl tuned.jsonl --require-within acc=2pt --out out"
    found = in_a_shell(tmp_path, asked, PYTHONIOENCODING="latin-1")
    assert found.returncode == 3, found.stderr
    assert rb"\u4efb" in found.stdout
    for end in ("| true", "2>&1 | true", ">&-"):
        found = in_a_shell(tmp_path, f"rm -r out; {asked} {end}; s=(${{PIPESTATUS[@]}}); exit $s")
        assert found.returncode == 3, (end, found.stderr)
        assert (tmp_path / "out" / "comparison.json").is_file()
        assert (b"proven worse" in found.stderr) == ("2>&" not in end)
        assert b"Broken pipe" not in found.stderr


def test_a_step_summary_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "no" / "summary")
    found = run(*logs(tmp_path, 0), "--out", tmp_path / "out", environment={"GITHUB_STEP_SUMMARY": nowhere})
    assert found.exit_code == 0
    assert f"GITHUB_STEP_SUMMARY {nowhere}: cannot be written (No such file or directory)" in found.output
    assert (tmp_path / "out" / "comparison.json").is_file()


def test_no_output_overwrites_an_input_or_another_output(tmp_path: Path) -> None:
    base = made.write_lines(tmp_path / "b.jsonl", made.plain_rows([1, 0] * 20))
    folder = tmp_path / "t"
    made.write_lines(folder / "t.jsonl", made.plain_rows([1, 0] * 20, model="m"))
    (tmp_path / "gates.yaml").write_text("require_within:\n  acc: 90pt\n")
    asked = ["--logs", base, f"{folder}#m", "--gates", tmp_path / "gates.yaml"]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for options in (
        ["--markdown", base],
        ["--junit", folder / "t.jsonl"],
        ["--markdown", tmp_path / "gates.yaml"],
        ["--markdown", tmp_path / "x", "--junit", tmp_path / "t" / ".." / "x"],
        ["--markdown", tmp_path],
        ["--out", folder / "out"],
    ):
        found = run(*asked, *options)
        assert found.exit_code == 1, options
        assert str(tmp_path) in found.output
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert run(*asked, "--out", tmp_path / "out").exit_code == 0
    exported = tmp_path / "out" / "every_eval_ever"
    again = run("--logs", exported / "data" / "relearn" / "logs" / "base", base, "--out", tmp_path / "out")
    assert again.exit_code == 1
    assert "would replace it" in again.output


def test_every_eval_ever_reads_back_the_same(tmp_path: Path) -> None:
    run(*logs(tmp_path, 60), "--out", tmp_path / "out")
    folder = tmp_path / "out" / "every_eval_ever" / "data" / "relearn" / "logs"
    (aggregate,) = (folder / "tuned").glob("*[0-9a-f].json")
    details = json.loads(aggregate.read_text())["detailed_evaluation_results"]
    assert details["total_rows"] == 1000
    assert (tmp_path / "out" / "every_eval_ever" / details["file_path"]).is_file()
    run("--logs", folder / "base", aggregate, "--out", tmp_path / "again")
    first, again = (
        json.loads((tmp_path / name / "comparison.json").read_text())["comparisons"][0]["changes"][0]
        for name in ("out", "again")
    )
    for key in ("before", "after", "low", "high", "worse", "p", "better", "error_after"):
        assert first[key] == again[key], key


def test_a_later_run_replaces_every_eval_ever(tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = out / "every_eval_ever" / "data" / "relearn" / "logs"
    (exported / "tuned").mkdir(parents=True)
    (exported / "tuned" / "mine.json").write_text("{}")
    for name in ("one", "two"):
        base, tuned = (made.binary(tmp_path / f"{name}{role}", [1, 0] * 20) for role in ("base", "tuned"))
        assert run("--logs", base, tuned, "--out", out).exit_code == 0
    assert run("--logs", exported / "base", exported / "tuned").exit_code == 0
    assert len(list((exported / "base").iterdir())) == 2
    assert (exported / "tuned" / "mine.json").is_file(), "a stranger's file is left alone"


def test_a_task_named_total_is_no_total(tmp_path: Path) -> None:
    rows = [row for task in ("total", "other") for row in made.plain_rows([1, 0] * 100, task=task)]
    log = made.write_lines(tmp_path / "x.jsonl", rows)
    found = run("--logs", log, log, "--require-within", "total.acc=5pt", "--out", tmp_path / "out")
    assert "a task or group is named total, so no total of all tasks is given" in found.output
    (ruling,) = json.loads((tmp_path / "out" / "comparison.json").read_text())["gates"]
    assert ruling["samples"] == 200
    assert list(json.loads((tmp_path / "out" / "metrics.json").read_text())) == ["total", "other"]


def test_three_models_are_three_comparisons(tmp_path: Path) -> None:
    found = run(*logs(tmp_path, 60), "--replayed", made.binary(tmp_path / "replayed", [1] * 790 + [0] * 210))
    for step in ("base to tuned", "tuned to replayed", "base to replayed"):
        assert step in found.output


def test_holm_runs_over_the_tasks_named_metrics_alone(tmp_path: Path) -> None:
    generator = random.Random(1)

    def log(name: str, shares: list[float]) -> Path:
        return made.write_lm_eval(
            tmp_path / name,
            {
                f"t{i}": [
                    made.lm_eval_row(j, {"acc": float(generator.random() < share), "f1": generator.random()})
                    for j in range(150)
                ]
                for i, share in enumerate(shares)
            },
        )

    run("--logs", log("base", [0.8, 0.8, 0.8]), log("tuned", [0.8, 0.68, 0.5]), "--out", tmp_path / "out")
    changes = json.loads((tmp_path / "out" / "comparison.json").read_text())["comparisons"][0]["changes"]
    named = sorted((one["p"], one["p_holm"]) for one in changes if one["kind"] == "task" and one["primary"])
    assert [one["metric"] for one in changes if one["primary"]] == ["acc"] * 4
    assert [holm for _, holm in named] == pytest.approx(
        [3 * named[0][0], 2 * named[1][0], max(named[2][0], 2 * named[1][0])]
    )
    assert all(one["p_holm"] is None for one in changes if not one["primary"] or one["kind"] == "total")
    run("--logs", tmp_path / "base", tmp_path / "tuned", "--metric", "t1.f1", "--out", tmp_path / "out")
    changes = json.loads((tmp_path / "out" / "comparison.json").read_text())["comparisons"][0]["changes"]
    assert [(one["task"], one["metric"]) for one in changes if one["kind"] == "task" and one["primary"]] == [
        ("t0", "acc"),
        ("t1", "f1"),
        ("t2", "acc"),
    ]


def test_clusters_make_it_less_sure(tmp_path: Path) -> None:
    rows = {
        name: [made.lm_eval_row(i, {"acc": float(name == "base" or i % 3 != 0)}) for i in range(300)]
        for name in ("base", "tuned")
    }
    paths = [made.write_lm_eval(tmp_path / name, {"arith": rows[name]}) for name in rows]
    assert "worse" in run("--logs", *paths).output
    found = run("--logs", *paths, "--cluster", "topic", "--require-within", "acc=50pt")
    assert "3 clusters are too few to show any difference" in found.output
    assert found.exit_code == 4


def test_a_mean_and_a_count_that_disagree_are_called_neither(tmp_path: Path) -> None:
    """65 samples gain a little and 38 lose a lot: the sign test is of the count, "worse" would be of the mean."""
    base = made.plain_rows([0.5] * 103, better="higher")
    tuned = made.plain_rows([0.6] * 65 + [0.1] * 38, better="higher")
    files = [made.write_lines(tmp_path / f"{i}.jsonl", rows) for i, rows in enumerate((base, tuned))]
    for paths, said in (
        (files, "mixed: more samples are better, the mean is worse"),
        (files[::-1], "mixed: more samples are worse, the mean is better"),
    ):
        found = run("--logs", *paths)
        assert said in found.output
        assert "0 of 1 tasks significantly worse, 0 significantly better" in found.output


HOSTILE = "@org/team <script>alert(1)</script> [x](http://evil.example) | `a` https://evil.example #1 \x1b[31m \u202e \ud800 &lt; ]]> ```"


def hostile_logs(tmp_path: Path) -> list[object]:
    paths = []
    for name, share in (("base", 1.0), ("tuned", 0.0)):
        rows = [
            row
            for metric in ("acc", "odd" + HOSTILE)
            for row in made.plain_rows([share] * 40, task=HOSTILE, metric=metric, model=HOSTILE, prompt=name)
        ]
        rows += [
            {"task": HOSTILE, "id": HOSTILE + name, "metric": "acc", "score": 1, "model": HOSTILE},
            {"task": HOSTILE, "id": "n", "metric": HOSTILE, "score": "none", "model": HOSTILE},
        ]
        paths.append(made.write_lines(tmp_path / f"{name}.jsonl", rows))
    return ["--logs", *paths, "--require-within", "acc=5%"]


def test_what_a_model_wrote_does_nothing_anywhere(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = run(*hostile_logs(tmp_path), "--out", out)
    assert found.exit_code == 1, "the prompts differ"
    for text in (found.output, *((out / name).read_text() for name in ("compare.md", "compare.html", "junit.xml"))):
        for active in ("\x1b", "\u202e", "\ud800"):
            assert active not in text
    page = (out / "compare.html").read_text()
    assert "<script" not in page
    assert 'href="http' not in page
    assert "default-src 'none'" in page
    ElementTree.fromstring((out / "junit.xml").read_text())
    html = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render((out / "compare.md").read_text())
    outside = re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)
    for active in ("@", "<script", "<a ", "http", "#1"):
        assert active not in outside, active
    assert html.count("<td") == 11 * 2, "a name ends no cell"


def test_the_summary_of_a_large_comparison_stays_small(tmp_path: Path) -> None:
    paths = []
    for name in ("base", "tuned"):
        rows = [
            {"task": f"{i:04d}" + "é" * 3000, "id": "1", "metric": f"m{j}", "score": int(name == "base")}
            for i in range(135)  # a table shows 400 rows at most
            for j in range(3)
        ]
        paths.append(made.write_lines(tmp_path / f"{name}.jsonl", rows))
    run("--logs", *paths, "--markdown", tmp_path / "pr.md")
    assert len((tmp_path / "pr.md").read_bytes()) < 1 << 20
    assert "more rows, in comparison.json" in (tmp_path / "pr.md").read_text()


def test_it_is_light_and_quick(tmp_path: Path) -> None:
    """2,000 samples in 20 tasks, in a process of its own that may import no model library, pandas or pyarrow."""
    generator = random.Random(1)
    for name, share in (("base", 0.8), ("tuned", 0.7)):
        made.write_lm_eval(
            tmp_path / name,
            {
                f"t{i}": [made.lm_eval_row(j, {"acc": float(generator.random() < share)}) for j in range(100)]
                for i in range(20)
            },
        )
    code = (
        "import sys, importlib.abc\n"
        "class No(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'transformers', 'pandas', 'pyarrow', 'datasets'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, No())\n"
        "from relearn.cli import main\nmain()\n"
    )
    started = time.process_time(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", "--logs", "base", "tuned", "--require-within", "acc=20pt", "--out", "out"],
        cwd=tmp_path, env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "pip install pyarrow" in done.stderr
    assert (tmp_path / "out" / "compare.html").exists()
    assert time.perf_counter() - started[1] < 10  # 3 s on a quiet machine
