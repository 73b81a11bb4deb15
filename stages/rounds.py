"""What the LoRA stages share: load the base, start or continue an adapter, train it, write it with its history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from relearn import models
from relearn.errors import InputError
from relearn.files import read_jsonl
from relearn.launched import is_rank_zero, is_worker
from relearn.params import Params
from relearn.progress import say
from relearn.records import SampledRow
from relearn.training import rounds
from relearn.training.method import Method
from relearn.training.rows import encode, encode_sample
from relearn.training.shard import is_left_to_accelerate
from relearn.training.trainer import train
from relearn.weights import count_positions
from stages import corpus, launch
from stages import scratch as scratch_folder
from stages.base_model import find_base
from stages.curves import write_curves
from stages.paths import Paths

CARD = """---
library_name: peft
base_model: {base}
---
# relearn: {name}
A LoRA adapter over `{base}`, written by the `{name}` stage of relearn. `provenance.json` says what it was trained on.
"""


def run_each_seed(
    params: Params, paths: Paths, name: str, one: Callable[[Params, Paths, int | None, ExitStack], dict[str, Any]]
) -> dict[str, Any]:
    """Runs a round with the main seed, then with each of `params.seeds`; returns the facts of all.

    `one` takes the parameters with the round's own seed, the further seed (None for the main one), and
    `finetune_round`'s `held`. Checkpoints stay until the last round is written: dvc removes the outputs of a
    stage that was killed, and its earlier rounds are then found trained.
    """
    if (facts := launch.run_in_workers(params, paths, name)) is not None:
        return facts
    with ExitStack() as held:
        facts = one(params, paths, None, held)
        for seed in params.seeds:
            facts[f"seed_{seed}"] = one(params.model_copy(update={"seed": seed}), paths, seed, held)
    return facts


def finetune_round(
    params: Params,
    paths: Paths,
    name: str,
    rows: Sequence[corpus.Conversation],
    start: Path | None,
    lr: float,
    epochs: float,
    target: Path,
    inputs: Sequence[Path],
    held: ExitStack,
    with_new: bool = True,
    further: int | None = None,
    method: Method | None = None,
) -> dict[str, Any]:
    """Trains an adapter on `rows`, from `start` or from nothing, and writes it to `target` with the losses.

    `inputs` are the files and folders that decide the result besides the parameters. Returns the run's facts. Where
    the profile asks for several processes (`launch.run_in_workers`), each of them comes here.

    `method` may change the loss; its rows are among `rows`.

    `further` is the seed of a round that is run again with another one; its losses go into `target`. The checkpoints
    are removed when `held` ends.
    """
    label = name if further is None else f"{name}, seed {further}"
    models.set_seed_and_threads(params.compute.threads, params.seed)
    weights, chat = find_base(params, paths)
    limit = params.finetune.max_tokens
    train_on = params.chat.train_on
    encoded = encode(rows, chat, limit, train_on)
    if encoded.too_long:
        say(f"{name}: {encoded.too_long} of {len(rows)} rows are longer than {limit} tokens and are left out")
    if method is not None and method.needs_samples:
        samples = [encode_sample(sample, chat) for sample in read_jsonl(paths.samples, SampledRow)]
        method.samples = [row for row in samples if len(row.ids) <= limit]
    watched = corpus.read_watched(paths, with_new)
    held_out = {task: encode(found, chat, limit, train_on) for task, found in watched.items()}
    model = models.load_base(
        weights,
        params.compute.device,
        params.compute.precision,
        params.compute.quantize,
        to_shard=launch.is_sharded(params) or is_left_to_accelerate(),
    )
    places, longest = count_positions(model), max(len(row.ids) for row in encoded.rows)
    if places is not None and longest > places:
        raise InputError(
            f"finetune.max_tokens: rows have up to {longest} tokens, and the base can read {places}; set it to {places}"
        )
    models.set_seed_and_threads(params.compute.threads, params.seed)
    tuned = rounds.new_adapter(model, params.finetune.lora) if start is None else rounds.continue_adapter(model, start)
    place = scratch_folder.name_folder(
        paths,
        name,
        [
            params.seed,
            lr,
            epochs,
            *map(corpus.list_texts, rows),
            params.finetune,
            params.compute,
            params.chat,
            params.launch,
            *(() if method is None else [method.options]),
        ],
        inputs,
    )
    if is_rank_zero():
        held.enter_context(scratch_folder.hold(place, wait=not is_worker()))
    schedule = rounds.make_schedule(
        params.finetune,
        params.compute,
        lr,
        epochs,
        params.seed,
        launch.count_processes(params),
        launch.is_sharded(params),
    )
    outcome = train(
        tuned, encoded, held_out, chat.tokenizer.pad_token_id, schedule, place, label, paths.live(name, further), method
    )
    if not is_rank_zero():
        return {}
    provenance = {
        "base": rounds.BASE_PATH,
        "continues": None if start is None else str(start.relative_to(paths.root)),
        "rows": outcome.rows,
        "too_long": encoded.too_long,
        "updates": outcome.steps,
        "lr": lr,
        "epochs": epochs,
        "seed": params.seed,
        "last_look": outcome.history[-1],
        **({"method": method.facts} if method is not None and method.facts else {}),
    }
    card = CARD.format(base=rounds.BASE_PATH, name=name)
    rounds.save_adapter(tuned, target, provenance, card, outcome.gathered)
    if further is None:
        write_curves(paths.losses(name.removeprefix("finetune_")), outcome.history, list(held_out))
    else:
        write_curves(target / "losses.csv", outcome.history, list(held_out))
    return {"tokens": outcome.tokens_seen, "train_seconds": round(outcome.seconds, 2)}
