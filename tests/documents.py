"""The commands that the documents show, for the tests that run them.

What runs each of them is in `RUN_BY`: a document that shows a command nobody runs fails a test
(tests/unit/test_readme.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIRST = r"(?:make|dvc|git|grep|pip|python3?|relearn|\.relearn/bin/\w+|source|export|for|hf|vllm)"
PASTED = re.compile(rf"^(?: {{0,4}}|\$ )({FIRST} (?:\\\n|[^\n])+)$", re.MULTILINE)
INDENTED = re.compile(rf"^ {{4}}({FIRST} (?:\\\n|[^\n])+)$", re.MULTILINE)
INLINE = re.compile(rf"`({FIRST} [^`]+)`")
HERE = "tests/integration/test_documented.py"
CHAIN = "tests/integration/test_documented_chain.py"


class Command(NamedTuple):
    """A command of a document, on one line, without its comment; `pasted` if it has a line of its own."""

    document: str
    text: str
    pasted: bool


def find_commands(documents: list[Path] = DOCUMENTS) -> Iterator[Command]:
    """Every command of the documents, in their order, a document's own lines before its sentences."""
    for document in documents:
        text = document.read_text(encoding="utf-8")
        prose = FENCE.sub("", text)
        fenced = [block for language, block in FENCE.findall(text) if language in ("", "sh", "console")]
        lines = [line for block in fenced for line in PASTED.findall(block)] + INDENTED.findall(prose)
        for line in lines:
            yield Command(document.name, clean(line), pasted=True)
        for line in INLINE.findall(INDENTED.sub("", prose)):
            yield Command(document.name, clean(line), pasted=False)


def clean(line: str) -> str:
    """A command on one line, without its comment."""
    return " ".join(re.sub(r"\s+#.*$", "", line.replace("\\\n", " ")).split())


# What runs a command that begins so: a test, which has the words after the colon, or nothing, with the reason.
RUN_BY = {
    r"relearn (repair|score|compare|init|scale|plan --prompts)\b": HERE,
    r"python -m relearn\.(repair|scoring|compare|endpoint\.journal)\b": HERE,
    r"python -m relearn\.mini\.server": f"{CHAIN}: find_commands",
    r"\.relearn/bin/relearn ": "tests/integration/test_action.py: relearn/bin/relearn",
    r"(python3 -m venv|\.relearn/bin/pip) ": "tests/integration/test_action.py: Install the light core",
    r"pip install ": "tests/integration/test_package.py: pip",
    r"source ": "nothing: it only puts the environment first on PATH",
    r"make share\b|python -m stages\.(share|sweep)\b": "tests/integration/test_machines.py: stages.share",
    r"(dvc (remote|push|pull|exp (push|pull))|git (add|clone)|dvc exp apply NAME)\b": "tests/integration/test_machines.py: s3",
    r"dvc (queue remove|config cache)": "nothing: DVC's own, which say what they do",
    r"dvc (exp run --temp|get \. report --rev) ?(--name )?skills\b": "nothing: half an hour; its parts run in tests/unit/evaluation/skills",
    r"dvc exp run --name real-texts": "nothing: hours; its parts run in tests/unit/test_real_texts.py",
    r"dvc exp run --(queue|run-all|temp)$": "tests/integration/test_commands.py: --queue",
    r"(git commit|dvc metrics)$": "nothing: a word of a sentence",
    r"dvc (repro|exp|metrics|plots)\b|git checkout\b": f"{CHAIN}: find_commands",
    r"relearn plan\b": f"{CHAIN}: find_commands",
    r"python -m stages\.judge": "tests/integration/test_judge.py: --estimate",
    r"python -m stages\.": f"{CHAIN}: find_commands",
    r"make (help|check)$": "tests/unit/test_makefile.py: make",
    r"make docs$": "tests/unit/params/test_document.py: make docs",
    r"make (repro|lint|test-commands|test)$": ".ci/run: make",
    r"make real$": "nothing: twenty minutes; its parts run on tiny in tests/integration/test_gguf_base.py",
    r"make sweep\b": "tests/integration/test_commands.py: sweep",
    r"make remedies\b": "tests/integration/test_remedies.py: stages.remedies",
    r"make (verify|bench|test-slow|docs-check)$": "nothing: each is itself such a run",
    r"python -m tests\.verify": "tests/unit/test_verify.py: tiny",
    r"python -m tests\.screenshots": "nothing: it draws what `make real` made",
    r"python -m bench\.": "nothing: minutes to hours; the modules and options that they name are there",
    r"export PYTHONHASHSEED=0$": "nothing: a variable for the loop below it",
    r"for seed in ": "nothing: an hour of trainings",
    r"python -m pytest ": "nothing: the tests that it names are there",
    r"grep ": "nothing: it picks the rows for the command below it",
    r"hf ": "nothing: needs an account of the reader's",
    r"vllm serve\b": "nothing: needs vLLM; tests/integration/test_documented.py asks a server in its place",
}


def runner(command: str) -> str | None:
    """What runs a command; None where nobody said."""
    return next((where for pattern, where in RUN_BY.items() if re.match(pattern, command)), None)
