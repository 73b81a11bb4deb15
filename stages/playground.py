"""Type an instruction, and see the models answer it side by side.

    python -m stages.playground                             # asks until an empty line or Ctrl-D
    python -m stages.playground "Write a poem about snow."  # answers this, and ends

Uses the active profile's models, decoding strategy and chat template; run `dvc repro` first.
"""

from __future__ import annotations

import sys
from itertools import cycle
from pathlib import Path
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from relearn import model_files, models
from relearn.decoding.items import Decoded, Prompt
from relearn.decoding.local import decode
from relearn.errors import InputError
from relearn.escaping import shown
from relearn.params import Params
from relearn.records import make_turns
from stages.base_model import find_base, freeze_base
from stages.paths import Paths
from stages.roles import name_models
from stages.run import main

COLOURS = ("white", "red", "cyan")


class Playground:
    """The models over one load of the frozen weights."""

    def __init__(self, params: Params, paths: Paths) -> None:
        models.set_seed_and_threads(params.compute.threads, params.seed)
        self.params = params
        roles = name_models(params, paths)
        self.names = [roles.base, *roles.trained]
        base = paths.models / "base"
        for name in self.names[1:]:
            if not (paths.adapter(name) / "adapter_config.json").is_file():
                raise InputError(f"models/{name}: no adapter; run dvc repro first")
        weights, self.chat = find_base(params, paths)
        self.base = freeze_base(params, weights)
        adapted = base / model_files.ADAPTER
        self.adapters: dict[str, Path | None] = {"base": adapted if adapted.is_dir() else None}
        self.adapters |= {name: paths.adapter(name) for name in self.names[1:]}

    def answer(self, instruction: str) -> dict[str, Decoded]:
        """Each model's answer, as the predict stage would give it."""
        options = self.params.predict
        item = Prompt(make_turns(instruction), options.max_new_tokens.probe, None)
        found: dict[str, Decoded] = {}
        for name in self.names:
            model = self.base.put(self.adapters[name])
            [found[name]] = decode(model, self.chat, [item], 1, name, options.strategy, self.params.seed)
        return found


def show(console: Console, answers: dict[str, Decoded]) -> None:
    """The answers beside each other, or below each other where the terminal is narrow."""
    wide = console.width >= 90
    width = console.width // len(answers) - 1 if wide else console.width
    panels = [
        Panel(
            # Text, never markup; control characters that a terminal would act on are shown by code point.
            Text(shown(answer.text) or "(nothing)"),
            title=name,
            subtitle=None if answer.finish_reason == "stop" else "cut off",
            border_style=colour,
            width=width,
        )
        for (name, answer), colour in zip(answers.items(), cycle(COLOURS), strict=False)
    ]
    console.print(Columns(panels, padding=(0, 0)) if wide else Columns(panels, column_first=True))


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Answers the instruction given as arguments, or asks for one after the other."""
    console = Console()
    playground = Playground(params, paths)
    if sys.argv[1:]:
        show(console, playground.answer(" ".join(sys.argv[1:])))
        return {"asked": 1}
    console.print(Text("An instruction (an empty line ends):"))
    asked = 0
    while True:
        try:
            instruction = console.input("> ", markup=False).strip()
        except EOFError:
            break
        if not instruction:
            break
        show(console, playground.answer(instruction))
        asked += 1
    return {"asked": asked}


if __name__ == "__main__":
    main("playground", work)
