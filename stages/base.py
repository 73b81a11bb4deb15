"""Makes the base model: trained from scratch on the old tasks, converted from GGUF, or a description of a hub model or
folder.

Run by `dvc repro`, or `python -m stages.base`.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import Any

from relearn import hub, model_files, models
from relearn.chat import Chat
from relearn.files import file_hash, write_json
from relearn.gguf.convert import convert
from relearn.gguf.header import read_header
from relearn.launched import is_worker
from relearn.packages import check_hash, find_file
from relearn.params import Params
from relearn.params.base import Adapt, GgufBase, ModelBase, ScratchBase
from relearn.records import make_turns
from relearn.training import rounds, scratch
from relearn.training.rows import encode
from relearn.training.trainer import Schedule, train
from stages import corpus, launch
from stages import scratch as scratch_folder
from stages.curves import write_curves
from stages.paths import Paths
from stages.rounds import finetune_round
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes models/base/ and returns the run's facts."""
    if isinstance(params.base.model, ScratchBase):
        return _from_scratch(params, paths, params.base.model)
    if isinstance(params.base.model, GgufBase):
        return _from_gguf(params, paths, params.base.model)
    return _described(params, paths, params.base.model)


def _from_scratch(params: Params, paths: Paths, shape: ScratchBase) -> dict[str, Any]:
    models.check_device(params.compute.device)
    models.set_seed_and_threads(params.compute.threads, params.seed)
    old = corpus.read_old(paths, "train", "replayed", "watched")
    rows = corpus.require_rows(old, paths.train, "split train")
    if (told := shape.review_instruction) is not None:
        rows += [make_turns(told, text.fields["text"]) for text in corpus.read_texts(paths, "train")]
    texts = (turn.content for row in rows for turn in row)
    tokenizer = scratch.train_tokenizer(texts, shape.vocabulary, params.chat.template)
    chat = Chat(tokenizer, params.chat.template, params.chat.arguments, params.chat.date)
    encoded = encode(rows, chat, shape.max_tokens, params.chat.train_on)
    held_out = {
        task: encode(found, chat, shape.max_tokens, params.chat.train_on)
        for task, found in corpus.read_watched(paths, with_new=False).items()
    }
    models.set_seed_and_threads(params.compute.threads, params.seed)
    model = scratch.new_model(tokenizer, shape)
    schedule = Schedule(
        epochs=shape.epochs,
        lr=shape.lr,
        batch_size=shape.batch_size,
        accumulation=1,
        shape="cosine_with_min_lr",
        options={"min_lr_rate": 0.1},
        warmup_steps=shape.warmup,
        weight_decay=shape.weight_decay,
        max_grad_norm=1.0,
        optimizer="adamw",
        seed=params.seed,
        device=params.compute.device,
        eval_every=100,
        checkpoint_every=200,
    )
    place = scratch_folder.name_folder(
        paths, "base", [params.seed, params.base, params.chat, params.compute], [paths.source_rows, paths.train]
    )
    with scratch_folder.hold(place):
        outcome = train(model, encoded, held_out, tokenizer.pad_token_id, schedule, place, "base", paths.live("base"))
        with rounds.replace_folder(paths.models / "base") as folder:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            write_json(
                folder / model_files.BASE_FILE,
                {"kind": "scratch", "rows": len(encoded), "too_long": encoded.too_long, "updates": outcome.steps},
            )
        write_curves(paths.losses("base"), outcome.history, list(held_out))
    return {"tokens": outcome.tokens_seen, "train_seconds": round(outcome.seconds, 2)}


def _described(params: Params, paths: Paths, source: ModelBase) -> dict[str, Any]:
    """base.json for a folder or a hub model, and a LoRA round on the original code when the profile asks for one."""
    if source.revision is None:
        folder = paths.sources / params.profile / source.path
        # so that a mistake shows before any training
        models.load_chat(folder, params.chat.template, params.chat.arguments, params.chat.date)
        weights = {file.name: file_hash(file) for file in sorted(folder.glob("*.safetensors"))}
        facts: dict[str, Any] = {"kind": "folder", "path": str(folder.relative_to(paths.root)), "weights": weights}
    else:
        commit = hub.resolve(source.path, source.revision, "model", paths.cache / "hub")
        facts = {"kind": "hub", "repository": source.path, "commit": commit}
    if not is_worker():  # the workers find it written
        with rounds.replace_folder(paths.models / "base") as target:
            write_json(target / model_files.BASE_FILE, {**facts, "adapted": source.adapt is not None})
    return _adapt(params, paths, source.adapt)


def _from_gguf(params: Params, paths: Paths, source: GgufBase) -> dict[str, Any]:
    """The file's weights as safetensors, and a LoRA round on the original data, merged, when the profile asks for one."""
    base = paths.models / "base"
    if not is_worker():  # the workers find it written
        if source.package is None:
            file = paths.sources / params.profile / source.path
            read_header(file)  # first, so that a file of another kind is named as such
            check_hash(file, source.sha256)
        else:
            file = find_file(source.package, source.path, source.sha256)
        models.set_seed_and_threads(params.compute.threads, params.seed)
        with rounds.replace_folder(base) as target:
            header = convert(file, target)
            # so that a mistake shows before any training
            models.load_chat(target, params.chat.template, params.chat.arguments, params.chat.date)
            facts = {
                "kind": "gguf",
                "package": source.package,
                "path": source.path,
                "sha256": source.sha256,
                "architecture": header.architecture,
                "weights": header.elements,
                "adapted": source.adapt is not None,
            }
            write_json(target / model_files.BASE_FILE, facts)
    run = _adapt(params, paths, source.adapt)
    if source.adapt is not None and not is_worker():
        with rounds.replace_folder(base) as target:
            rounds.merge_adapter(base, base / model_files.ADAPTER, target)
    return run


def _adapt(params: Params, paths: Paths, adapt: Adapt | None) -> dict[str, Any]:
    """A LoRA round on the original data, its adapter beside the description; without one, empty curves."""
    if adapt is None:
        write_curves(paths.losses("base"), [], [])
        return {}
    try:
        if (facts := launch.run_in_workers(params, paths, "base")) is not None:
            return facts
        rows = corpus.require_rows(
            corpus.read_old(paths, "train", "replayed"), paths.train, "role replayed, split train"
        )
        with ExitStack() as held:
            return finetune_round(
                params,
                paths,
                name="base",
                rows=rows,
                start=None,
                lr=adapt.lr,
                epochs=adapt.epochs,
                target=paths.models / "base" / model_files.ADAPTER,
                inputs=[paths.train, paths.models / "base"],
                held=held,
                with_new=False,
            )
    except BaseException:
        shutil.rmtree(paths.models / "base")  # a base without the adapter that it should have
        raise


if __name__ == "__main__":
    main("base", work)
