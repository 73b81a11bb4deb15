"""What the README shows is what the program says: its outputs, its figures and its links."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from relearn import metrics
from relearn.cli import main
from relearn.metrics.metric import all_metrics
from tests.conftest import ROOT
from tests.documents import DOCUMENTS, RUN_BY, find_commands, runner
from tests.unit.logs import made as logs

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPERIMENTS = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def files_shown(block: str) -> dict[str, str]:
    """The files that a console shows by `tail -n +1`, up to the next command."""
    parts = re.split(r"^==> (\S+) <==\n", block.partition("\n$ relearn")[0] + "\n", flags=re.MULTILINE)
    return {name: text.rstrip("\n") + "\n" for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def run(command: str) -> str:
    done = CliRunner(catch_exceptions=False).invoke(main, command.removeprefix("$ relearn ").split())
    assert done.exit_code == 0, done.output
    return done.output


def test_it_is_read_in_ten_minutes() -> None:
    assert len(README.splitlines()) <= 150


def test_a_folder_of_broken_json_is_repaired_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks(section("Somebody with a folder of broken JSON"), "console")
    for name, text in files_shown(block).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    command, said = block.split("$ ")[-1].split("\n", 1)
    assert run(f"$ {command}") == said
    assert [json.loads(line)["source"]["file"] for line in Path("rows.jsonl").read_text().splitlines()] == [
        "001.txt",
        "002.txt",
    ]


def test_logs_are_judged_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = section("An engineer with an adapter and a release on Friday")
    before, of, after = map(int, re.findall(r"(\d+) of (\d+) were right before, (\d+) after", text)[0])
    for model, right in (("base", before), ("tuned", after)):
        logs.binary(tmp_path / "logs" / model, [1] * right + [0] * (of - right))
    monkeypatch.chdir(tmp_path)
    command, said = blocks(text, "console")[-1].removeprefix("$ relearn ").split("\n", 1)
    done = CliRunner(catch_exceptions=False).invoke(main, command.split())
    assert done.exit_code == 4, done.output
    assert " ".join(said.split()) in done.stderr


def test_a_metric_is_added_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = section("A developer who wants to add a metric")
    (file,) = re.findall(r"`relearn/metrics/(\w+\.py)`", text)
    (code,) = blocks(text, "python")
    (tmp_path / file).write_text(code, encoding="utf-8")
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    (console,) = blocks(text, "console")
    rows, command, said = re.fullmatch(
        r"\$ cat answers.jsonl\n(.*\n)\$ (.*) \| grep \w+\n(.*)\n", console, re.DOTALL
    ).groups()  # type: ignore[union-attr]
    (tmp_path / "answers.jsonl").write_text(rows, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    all_metrics.cache_clear()
    try:
        assert said in run(f"$ {command}").splitlines()
    finally:
        all_metrics.cache_clear()


def scores(file: str) -> dict[str, dict[str, float]]:
    """As they are committed or staged: a run on another kind of CPU leaves other figures in the working tree."""
    told = subprocess.run(["git", "show", f":{file}"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    return json.loads(told)  # type: ignore[no-any-return]


def test_the_students_table_is_that_of_the_last_run() -> None:
    text = section("A student with a laptop")
    for model in ("base", "2b", "2c"):
        points = scores(f"metrics/eval_3a/{model}.json")["code"]
        (row,) = re.findall(rf"^\| {model} \| (.*) \|$", text, re.MULTILINE)
        shown = [cell.split()[0] for cell in row.split(" | ")[:3]]
        assert shown == [f"{points[name]:.3f}" for name in ("codebleu", "pass_at_1", "bpb")]


def test_the_students_change_is_from_the_last_run() -> None:
    lines = re.findall(r"^\| (metrics/\S+) +\| (\S+) +\| (\S+) +\| (\S+) +\| (\S+) +\|$", README, re.MULTILINE)
    assert len(lines) == 4
    for file, name, before, after, change in lines:
        task, metric = name.split(".")
        assert scores(file)[task][metric] == pytest.approx(float(before))
        assert float(after) - float(before) == pytest.approx(float(change), abs=1.1e-4)


def test_the_researchers_table_is_that_of_the_last_sweep() -> None:
    (block,) = blocks(section("A researcher who compares remedies"), "console")
    lines = block.splitlines()[1:]
    assert len(lines) == 6
    assert set(lines) <= set(EXPERIMENTS.splitlines())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        name, _, heading = target.partition("#")
        file = document.parent / name if name else document
        assert file.exists(), f"{document.name}: {target}"
        if heading:
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors, f"{document.name}: {target}"


def test_the_index_lists_every_document() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[([\w-]+\.md)\]\(\1\): ", index, re.MULTILINE)
    assert sorted([*listed, "README.md"]) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))


def test_every_documented_command_is_run_or_says_why_not() -> None:
    commands = list(find_commands())
    assert len(commands) > 100
    assert [(command.document, command.text) for command in commands if runner(command.text) is None] == []
    used = {runner(command.text) for command in commands}
    assert set(RUN_BY.values()) - used == set(), "no document shows such a command any more"
    for where in used:
        file, _, words = str(where).partition(": ")
        assert file == "nothing" or words in (ROOT / file).read_text(encoding="utf-8"), where


@pytest.mark.parametrize("command", sorted({c.text for c in find_commands() if "-m bench." in c.text}))
def test_a_documented_benchmark_and_its_options_are_there(command: str) -> None:
    words = command.split()
    file = ROOT / (words[2].replace(".", "/") + ".py")
    source = file.read_text(encoding="utf-8")
    for word in words[3:]:
        option = re.match(r"--[a-z-]+", word)
        assert not option or option[0] in source or "parse_known_args" in source, f"{file.name}: {word}"


@pytest.mark.parametrize("command", sorted({c.text for c in find_commands() if "-m pytest " in c.text}))
def test_a_documented_run_of_tests_names_what_is_there(command: str) -> None:
    named = [word for word in command.split() if word.startswith("tests/")]
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
