"""Every line of the documents that runs a command of this project's own, run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from relearn.endpoint.journal import Journal
from tests.conftest import ROOT
from tests.integration.forked import run_module
from tests.unit.compare_models import make, write_rows
from tests.unit.decoding.serving import Served
from tests.unit.logs import made as logs

LINE = re.compile(
    r"^(?: {0,4}|\$ )((?:python -m relearn\.\w+(?:\.\w+)?|relearn (?:repair|score|compare|init|scale|plan --prompts))\b[^|\n]*?(?:\\\n[^|\n]*?)*(?: \|\| exit 1)?)$",
    re.M,
)
# What the documents name, and what is there for it in this test.
STAND_INS = {
    "meta-llama/Llama-2-7b-chat-hf": "base",
    "org/base": "base",
    "MODEL": "base",
    "MODEL_OR_ADAPTER": "forgot",
    "models/base": "base",
    "models/2b": "forgot",
    "models/2c": "same",
    "my-adapter": "forgot",
    "./candidate": "same",
    "data/sources/mini/probes.yaml": "probes.yaml",
    "data/held_out.jsonl": "old.jsonl",
    "code.jsonl": "old.jsonl",
    "data/held_out_instructions.jsonl": "new.jsonl",
    ".cache/teacher/journal.sqlite": "journal.sqlite",
    "NAME": "code",
    "NAMES": "stance",
    "codebleu=5%": "rouge_l=5%",  # the rows of this test hold no code
}
REFUSED = (3,)  # a guard found what it was asked to look for


def documented() -> Iterator[tuple[str, str]]:
    """(document, command) of every such line, comments and the brackets of optional parts taken off."""
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for found in LINE.finditer(document.read_text(encoding="utf-8")):
            command = re.sub(r"\s+#.*$", "", found[1].replace("\\\n", " "))
            yield (
                document.name,
                re.sub(r"\[(--\S+) (\w+)(?:\|[\w|]+)?\]", r"\1 \2", command).removesuffix(" || exit 1"),
            )


COMMANDS = list(documented())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, rows, a dump, predictions and a journal, under the names that the documents use."""
    made = tmp_path_factory.mktemp("documented")
    make(made)
    write_rows(made)
    (made / "dump.txt").write_text('Sure: {"agree": "Yes, it is fine.", "disagree": "No, not at all.",}')
    (made / "replies").mkdir()
    (made / "replies" / "001.txt").write_text('{"agree": "Yes, it is fine.", "disagree": "No, not at all.",}')
    row = {"prompt": "Say a.", "reference": "a b c", "prediction": "a b", "task": "code"}
    (made / "PREDICTIONS.jsonl").write_text(json.dumps(row) + "\n")
    with Journal(made / "journal.sqlite"):
        pass
    for model in ("base", "tuned"):
        rows = [logs.lm_eval_row(n, {"acc": 1.0}, doc={"question": f"Q{n}", "topic": f"t{n}"}) for n in range(300)]
        logs.write_lm_eval(made / "logs" / model, {"arith": rows})
    return made


def test_the_documents_show_the_commands() -> None:
    shown = " ".join(command for _, command in COMMANDS)
    for name in ("relearn repair", "relearn score", "relearn compare", "relearn.endpoint.journal"):
        assert name in shown


@pytest.mark.parametrize(("document", "command"), COMMANDS, ids=[f"{d}-{n}" for n, (d, _) in enumerate(COMMANDS)])
def test_a_documented_command_runs(folder: Path, document: str, command: str) -> None:
    words = [STAND_INS.get(word, word) for word in shlex.split(command)]
    words = ["relearn.cli", *words[1:]] if words[0] == "relearn" else words[2:]
    if "compare" in command and "--logs" not in words:
        words += ["--threads", "1", "--resamples", "100"]
        words += [] if "--max-new-tokens" in words else ["--max-new-tokens", "12"]
        words += ["--limit", "1"] if "--suite" in words and "--limit" not in words else []
    shutil.rmtree(folder / "compared", ignore_errors=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    says_one = {name: lambda body: ("one one", "stop") for name in ("base", "tuned")}
    with Served(says_one) as server:
        words = [server.base_url if word.startswith("http://127.0.0.1") else word for word in words]
        done = run_module(words[0], words[1:], folder, environment, 250)
    assert done.returncode in ((0, *REFUSED) if "--fail-above" in words else (0,)), done.stderr
