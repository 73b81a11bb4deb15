"""What test_shared_decoding.py runs: small models decode in this process, or in its share of the batches.

    python -m tests.integration.shared_decoding FOLDER

Writes FOLDER/<processes>.<rank>.json: answers and likelihoods by case, how many processes met, batches computed here.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import torch

from relearn.chat import Chat
from relearn.decoding import local
from relearn.decoding.items import Prompt
from relearn.decoding.share import Share
from relearn.launched import end_together
from relearn.models import set_seed_and_threads
from relearn.params.predict import Greedy, TopK
from tests.unit.tiny import ROWS, TEMPLATE, tokenizer
from tests.unit.training.test_quick import grouped

BATCH = 4
# tasks of many batches, of one batch, and of one with the prompts of another
SIZES = {"long": range(30), "short": range(30, 33), "again": range(30, 33), "last": range(40, 41)}
STRATEGIES: dict[str, Any] = {
    "copied": Greedy(kind="greedy"),
    "not copied": Greedy(kind="greedy"),
    "sampled": TopK(kind="top_k", k=20, temperature=2.0),
}


def list_items() -> list[Prompt]:
    """Prompts of several tasks and limits; every fifth has no reference."""
    return [
        Prompt(ROWS[row][:-1], 12 if row % 3 else 6, ROWS[row][-1].content if row % 5 else None, task=task)
        for task, rows in SIZES.items()
        for row in rows
    ]


def make_model() -> Any:
    """A Llama each of whose answers is another."""
    loud = grouped().eval()
    with torch.no_grad():
        for weights in loud.parameters():
            weights.mul_(6 if weights.dim() == 2 else 1)
    return loud


def main(folder: Path) -> None:
    """All cases, each answered and scored."""
    set_seed_and_threads(1, 0)
    share, model, chat, computed = Share.of_launched(), make_model(), Chat(tokenizer(), TEMPLATE), list[str]()
    find_or_compute, copy_llama = local.find_or_compute, local.copy_llama

    def count(kept: Path | None, name: str, compute: Any) -> Any:
        computed.append(name)
        return find_or_compute(kept, name, compute)

    local.find_or_compute = count
    found: dict[str, Any] = {}
    for case, strategy in STRATEGIES.items():
        local.copy_llama = copy_llama if case == "copied" else lambda _: None
        answers = local.decode(model, chat, list_items(), BATCH, case, strategy, 7, share=share)
        scores = local.score(model, chat, list_items(), BATCH, f"{case}, scores", share=share)
        found[case] = {"answers": [dataclasses.astuple(answer) for answer in answers], "scores": scores}
    met = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    text = json.dumps({"found": found, "met": met, "computed": computed})
    (folder / f"{share.processes}.{share.rank}.json").write_text(text, encoding="utf-8")
    end_together()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
