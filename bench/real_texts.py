"""The profile smollm2 with real texts: IMDb's reviews, MBPP's problems with their tests, Self-Instruct's instructions.

    python -m bench.real_texts [--data ../shared/data]   # writes profiles/real.yaml and data/sources/real/
    dvc repro -S profile=real …                          # docs/real-data.md has the commands

The folder holds `imdb/imdb_1000.csv` (Maas et al. 2011), `mbpp/sanitized-mbpp.json` (Austin et
al. 2021) and `general_instruct/self_instruct_252.jsonl` (Wang et al. 2023). A problem's prompt shows its tests, as in the
paper, since they alone name the function. HumanEval and the suite of skills, which are the same there, are left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bench import real_data
from relearn.files import write_text

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "data" / "sources" / "real"
PROFILE = ROOT / "profiles" / "real.yaml"
LONGEST = 1000  # characters of a review
SIZES = {"code": (200, 12, 200), "reviews": (80, 6, 108), "general": (0, 12, 200)}  # train, val, test


def main() -> None:
    """Writes the sources and the profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    real_data.argument(parser)
    data: Path = parser.parse_args().data
    problems = json.loads("\n".join(real_data.lines(data / "mbpp" / "sanitized-mbpp.json")))
    instructions = [json.loads(line) for line in real_data.lines(data / "general_instruct" / "self_instruct_252.jsonl")]
    SOURCES.mkdir(parents=True, exist_ok=True)
    _write(SOURCES / "problems.jsonl", (_problem(each) for each in problems))
    _write(SOURCES / "general.jsonl", (_instruction(each) for each in instructions))
    shutil.copy(data / "imdb" / "imdb_1000.csv", SOURCES / "reviews.csv")
    shutil.copy(ROOT / "data" / "sources" / "smollm2" / "probes.yaml", SOURCES / "probes.yaml")
    yaml = YAML()
    profile = yaml.load(ROOT / "profiles" / "smollm2.yaml")
    others = [task for task in profile["tasks"] if task not in SIZES]
    by_task = [profile["tasks"], profile["prepare"], profile["predict"]["max_new_tokens"], profile["report"]["tasks"]]
    for names in (*by_task, profile["eval_3a"]["metrics"]):
        for task in others:
            del names[task]
    for task, sizes in SIZES.items():
        profile["prepare"][task].update(zip(("train", "val", "test"), sizes, strict=True))
    reviews = profile["prepare"]["reviews"]
    reviews["source"]["path"] = "reviews.csv"
    reviews["max_chars"]["prompt"] = LONGEST
    profile["report"]["caption"] = (
        "The model is real: SmolLM2-135M-Instruct, dequantised from 4 bits. The texts are real: reviews from IMDb, "
        "problems of MBPP, Self-Instruct's instructions. Invented: the teacher, which is a program."
    )
    with PROFILE.open("w", encoding="utf-8") as file:
        yaml.dump(profile, file)
    print(f"written: {PROFILE.relative_to(ROOT)}, {SOURCES.relative_to(ROOT)}/")


def _problem(row: Mapping[str, Any]) -> dict[str, Any]:
    shown = "\n".join(row["test_list"])
    return {
        "instruction": f"{row['prompt']} The code should pass these tests:\n\n{shown}",
        "response": row["code"].replace("\r\n", "\n").rstrip(),
        "tests": [*row["test_imports"], *row["test_list"]],
        "group": str(row["task_id"]),
    }


def _instruction(row: Mapping[str, Any]) -> dict[str, Any]:
    case = row["instances"][0]
    instruction = f"{row['instruction']}\n\n{case['input']}".strip()
    return {"instruction": instruction, "response": case["output"], "group": row["id"]}


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


if __name__ == "__main__":
    main()
