"""Writes a part of what a fine-tune changed as a model of its own: θ₀ + FACTOR·(θ₁ − θ₀), without training.

    relearn scale ADAPTER 0.5 OUT                         # an adapter that any server loads as it is
    relearn scale ADAPTER 0.5 OUT --base MODEL --merged   # whole weights
    relearn scale MODEL 0.5 OUT --base MODEL              # between two whole models

Models are folders or hub names. Of adapters, LoRA and rsLoRA can be scaled. `relearn compare --scales` says which
factor keeps the old skills. Exit status: 0, or 1 for a mistake.
"""

from __future__ import annotations

import math
import shutil
import sys
import tempfile
from pathlib import Path

import click

from relearn.commands import FILE, SETTINGS
from relearn.compare.command import check_extra
from relearn.errors import InputError
from relearn.escaping import shown
from relearn.params.predict import MOST_SCALE
from relearn.workers import count_cores

BESIDE = (".json", ".jinja", ".model", ".txt", ".md")  # what comes along with weights


def _run(model: str, factor: float, out: Path, base: str | None, merged: bool) -> None:
    try:
        check_extra()
        if not math.isfinite(factor):
            raise click.UsageError(f"FACTOR {factor}: expected a number, such as 0.5")
        if merged and base is None:
            raise click.UsageError("--merged needs --base MODEL")
        _scale(model, factor, out, base, merged)
        print(f"scale: {out} has {factor:g} of the change that {model} makes")
    except (InputError, OSError) as error:
        print(f"scale: {' '.join(shown(str(error)).split())}", file=sys.stderr)
        click.get_current_context().exit(1)


def _scale(model: str, factor: float, out: Path, base: str | None, merged: bool) -> None:
    from relearn import models
    from relearn.compare import sources

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: already exists; name another folder")
    with tempfile.TemporaryDirectory(prefix="relearn-") as memory:
        tuned = sources.find(model, Path(memory))
        start = None if base is None else sources.find(base, Path(memory))
    weights = None
    if start is not None:
        if start.weights is None or start.adapter is not None:
            raise InputError(f"{base}: is or has an adapter; --base needs the whole model that was tuned")
        weights = start.weights
    models.set_seed_and_threads(count_cores(), 0)
    if tuned.weights is None and tuned.adapter is not None:
        write_part_of_adapter(tuned.adapter, factor, out, model, weights, merged)
        return
    if tuned.weights is None or tuned.adapter is not None:
        raise InputError(f"{model}: is a base with an adapter of its own; give the adapter's folder")
    if weights is None:
        raise InputError(f"{model}: is a whole model; to scale its change, add --base MODEL")
    write_part_of_model(tuned.weights, factor, out, model, weights)


def write_part_of_adapter(adapter: Path, factor: float, out: Path, label: str, base: Path | None, merged: bool) -> None:
    """Writes the adapter with its change scaled, or the whole model with it; `provenance.json` names the factor."""
    from relearn import models
    from relearn.files import write_json
    from relearn.model_files import read_json
    from relearn.scaling import adapter as scaling
    from relearn.training import rounds

    loaded = None if base is None else models.load_base(base, "cpu")
    with tempfile.TemporaryDirectory(prefix="relearn-") as place, rounds.replace_folder(out) as target:
        folder = Path(place) if merged else target
        scaling.scale_adapter(adapter, factor, folder, label, loaded)
        loaded = None
        for file in adapter.iterdir():
            if file.is_file() and file.suffix in BESIDE and not (folder / file.name).exists():
                shutil.copy(file, folder)
        facts = adapter / "provenance.json"
        known = read_json(facts) if facts.is_file() else {}
        write_json(folder / "provenance.json", scaling.mark_scaled(known, factor))
        if merged:
            assert base is not None
            try:
                rounds.merge_adapter(base, folder, target)
            except RuntimeError as error:  # of PEFT, about a layer that cannot hold the adapter
                raise InputError(f"{label}: PEFT cannot merge it ({error}); leave --merged out") from error


def write_part_of_model(tuned: Path, factor: float, out: Path, label: str, base: Path) -> None:
    """A whole model between two, in fp32, with the fine-tune's tokenizer and settings."""
    from relearn.scaling.whole import Interpolation
    from relearn.training import rounds

    made = Interpolation(base, tuned, "cpu", label=label).put(factor)
    with rounds.replace_folder(out) as target:
        for file in tuned.iterdir():
            if file.is_file() and file.suffix in BESIDE and not file.name.endswith(".index.json"):
                shutil.copy(file, target)
        made.save_pretrained(target)


command = click.Command(
    "scale",
    callback=_run,
    short_help="Write a model with part of a fine-tune's change, without training.",
    help="Write a model with part of a fine-tune's change, without training: half of it often keeps most of the new "
    "skill and little of the damage (Wortsman et al. 2022). `relearn compare --scales` shows what each factor keeps.",
    context_settings=SETTINGS,
    params=[
        click.Argument(["model"], metavar="MODEL"),
        click.Argument(["factor"], type=click.FloatRange(0, MOST_SCALE), metavar="FACTOR"),
        click.Argument(["out"], type=FILE["type"], metavar="OUT"),
        click.Option(["--base"], metavar="MODEL", help="The model before; needed for whole weights."),
        click.Option(["--merged"], is_flag=True, help="Write the whole model (fp32) with the scaled adapter in it."),
    ],
)
