"""How much a profile's run reads, trains and answers: rows and tokens of each round, prompts, time and memory.

Counted from what prepare and repair have written where that belongs to the profile, else from the profile alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from relearn.decoding.items import is_weighed
from relearn.errors import InputError
from relearn.evaluation import probes, suite
from relearn.params import Params
from relearn.params.base import GgufBase, ModelBase, ScratchBase
from relearn.params.finetune import Lora
from relearn.params.prepare import SkillsSource
from relearn.records import Message, make_turns
from relearn.training.method import load_method
from stages import corpus, lock, run
from stages.paths import Paths
from stages.plan import speed

UNKNOWN = 200  # tokens of a row of which nothing is known yet
FRAME = 8  # tokens that a chat template puts around a row
LIKELIHOOD = 1.5  # passes over the prompts that the likelihood of prompts and references takes
ADAM = 12  # bytes of a trained weight besides itself: its gradient and two moments, in fp32


@dataclass(frozen=True)
class Round:
    """A training stage: rows, how often they are gone through (epochs times seeds), and their mean length."""

    stage: str
    rows: int
    passes: float
    row_tokens: float
    lora: Lora | None
    batch_size: int

    @property
    def tokens(self) -> float:
        return self.rows * self.passes * self.row_tokens


@dataclass
class Cost:
    """Of a stage: tokens trained on or answered at most; seconds and bytes, None where they cannot be known here."""

    stage: str
    rows: int
    tokens: float
    seconds: float | None = None
    memory: float | None = None
    basis: str = ""


@dataclass
class Amounts:
    """The estimate of a run of the profile."""

    params: Params
    paths: Paths
    notes: list[str] = field(default_factory=list)

    # --- what is on disk already ---------------------------------------------------------------------------

    def is_current(self, *stages: str) -> bool:
        """Whether these stages have last run with this profile and its parameters, by dvc.lock."""
        swept = self.params.model_dump(mode="json", include={"lr", "method", "profile", "seed"})
        file = f"profiles/{self.params.profile}.yaml"
        now = {"params.yaml": swept, file: YAML(typ="safe").load(self.paths.root / file)}
        recorded = lock.read_params(self.paths)
        return all(recorded.get(stage) and lock.find_change(recorded[stage], now) is None for stage in stages)

    @cached_property
    def prepared(self) -> bool:
        return self.paths.train.is_file() and self.is_current("prepare")

    @cached_property
    def repaired(self) -> bool:
        return self.prepared and self.paths.instructions.is_file() and self.is_current("generate", "repair")

    # --- rows ----------------------------------------------------------------------------------------------

    def rows_of_text(self, task: str) -> int:
        """Rows that one of the task's texts becomes; 1 where its rows are there already."""
        templates = self.params.repair.by_task.get(task)
        return 1 if templates is None else len(templates.rows)

    def count(self, split: str, *roles: str) -> int:
        """Rows of the split over the tasks of these roles, assuming that every reply of the teacher is usable."""
        return sum(
            getattr(self.params.prepare.by_task[task], split) * self.rows_of_text(task)
            for task in self.params.named(*roles)
        )

    def count_prompts(self, task: str) -> tuple[int, int]:
        """(held-out prompts, clusters) of a task."""
        if self.repaired:
            groups = [row.group for row in corpus.read_held_out(self.paths) if row.task == task]
            return len(groups), len(set(groups))
        rows = self.params.prepare.by_task[task]
        if isinstance(rows.source, SkillsSource):
            where = suite.find_folder(rows.source.path, self.paths.sources / self.params.profile)
            items, _ = suite.make_rows(suite.read_suite(where), task, rows.test, self.params.seed)
            return len(items), len({row.group for row in items})
        texts = rows.test
        return texts * self.rows_of_text(task), texts

    def list_rounds(self) -> list[Round]:
        """The rounds that train, in order; 2c only where a task is replayed."""
        params, old, new, text = self.params, *self._row_tokens
        base, shared = params.base.model, params.finetune
        found = []

        def add(stage: str, rows: int, passes: float, each: float, lora: Lora | None = shared.lora) -> None:
            batch = base.batch_size if lora is None and isinstance(base, ScratchBase) else shared.batch_size
            found.append(Round(stage, rows, passes, each, lora, batch))

        replayed, fresh, seeds = self.count("train", "replayed"), self.count("train", "new"), 1 + len(params.seeds)
        if isinstance(base, ScratchBase):
            asked = [task for task in params.named("new") if params.generate.by_task.get(task) is not None]
            told = base.review_instruction is not None
            texts = sum(params.prepare.by_task[task].train for task in asked) * told
            rows = self.count("train", "replayed", "watched")
            add("base", rows + texts, base.epochs, (rows * old + texts * text) / max(1, rows + texts), None)
        elif base.adapt is not None:
            add("base", replayed, base.adapt.epochs, old)
        method = load_method(params.method, getattr(params.finetune_2b.methods, params.method), params.seed)
        chosen = method.choose_rows([new] * fresh, [old] * replayed)
        cost = method.cost(shared.batch_size * shared.accumulation)
        add("finetune_2b", len(chosen), params.finetune_2b.epochs * seeds * cost, sum(chosen) / max(1, len(chosen)))
        if params.replays:
            again = max(1, round(replayed * params.finetune_2c.share))
            combined = fresh if params.finetune_2c.data == "combined" else 0
            each = (again * old + combined * new) / (again + combined)
            add("finetune_2c", again + combined, params.finetune_2c.epochs * seeds, each)
        return found

    @cached_property
    def _row_tokens(self) -> tuple[float, float, float]:
        """Mean tokens of an old row, a new one, and a text that the teacher is shown."""
        base, options = self.params.base.model, self.params.generate
        small = isinstance(base, ScratchBase) and base.vocabulary <= 4096
        bytes_a_token = 3 if small else 4
        if not self.prepared:
            self.notes.append(f"{UNKNOWN} tokens a row: assumed, until `dvc repro repair` makes the rows")
            return UNKNOWN, UNKNOWN, UNKNOWN

        def mean(rows: Iterable[list[Message]]) -> float:
            sizes = [sum(len(turn.content.encode()) for turn in row) / bytes_a_token + FRAME for row in rows]
            return sum(sizes) / len(sizes) if sizes else 0.0

        old = mean(row.messages for row in corpus.read_old(self.paths, "train", "replayed", "watched"))
        text = mean(make_turns(text.fields["text"]) for text in corpus.read_texts(self.paths, "train"))
        if self.repaired:
            new = mean(row.messages for row in corpus.read_new(self.paths, "train"))
            self.notes.append(f"rows counted in data/, a token for {bytes_a_token} bytes")
        else:
            new = text + options.max_tokens / 2
            self.notes.append(
                f"old rows counted in data/, a token for {bytes_a_token} bytes; a reply is taken to be half of "
                "generate.max_tokens"
            )
        return old, new, text

    # --- time and memory -----------------------------------------------------------------------------------

    def measure(self, config: Any) -> list[Cost]:
        """The cost of each training stage and of predict; `config` is the model's, None where it is not known here."""
        found = []
        for one in self.list_rounds():
            cost = Cost(one.stage, one.rows, one.tokens)
            if config is not None:
                self._time(one, config, cost)
            found.append(cost)
        return [*found, self.measure_answers(config)]

    def _time(self, one: Round, config: Any, cost: Cost) -> None:
        params, width = self.params, max(2, round(one.row_tokens))
        tried = speed.measure_training(config, params.compute, one.lora, one.batch_size, width)
        rate, cost.basis = one.batch_size * width / tried.seconds, "tried with random weights"
        earlier = read_rate(self.paths.runs / f"{one.stage}.json", params)
        if earlier is not None:
            rate, cost.basis = earlier, "the rate of an earlier run"
        cost.seconds = one.tokens / rate
        cost.memory = self._weights(tried.parameters, one.lora is not None) + ADAM * tried.trainable + tried.saved

    def _weights(self, parameters: float, frozen: bool = True) -> float:
        compute = self.params.compute
        if compute.quantize == "4bit":
            return parameters * 0.55
        return parameters * (2 if compute.precision == "bf16" and frozen else 4)

    def measure_answers(self, config: Any) -> Cost:
        """The cost of predict; `config` as `measure` takes it."""
        params, limits = self.params, self.params.predict.max_new_tokens
        rounds = 1 + len(params.seeds)
        models = 1 + (2 if params.replays else 1) * rounds + len(params.predict.decode_scales)
        known = {0.0, 1.0, *params.predict.decode_scales}
        scored = rounds * len({*params.predict.scales} - known)  # models along the curve, of which nothing is decoded
        asked = [(self.count_prompts(task)[0], limits.by_task[task]) for task in params.tasks]
        asked.append((len(probes.read(self.paths.probes(params.profile))), limits.probe))
        weighed = [
            number for task, (number, _) in zip(params.tasks, asked, strict=False) if is_weighed(task, params.predict)
        ]
        cost = Cost("predict", models * sum(number for number, _ in asked), models * sum(n * most for n, most in asked))
        if params.predict.backend.kind != "local":
            cost.basis = "decoded by a server"
        elif config is not None:
            batch = min(params.predict.batch_size, max(number for number, _ in asked))
            width = max(2, round(max(self._row_tokens) / 2))
            tried = speed.measure_answers(config, params.compute, batch, width)
            cost.seconds = models * sum(
                number / batch * tried.prompts + math.ceil(number / batch) * most * tried.token
                for number, most in asked
            )
            cost.seconds += models * sum(weighed) / batch * tried.prompts * LIKELIHOOD
            on_curve = sum(min(number, params.predict.scale_rows or number) for number in weighed)
            cost.seconds += scored * on_curve / batch * tried.prompts * LIKELIHOOD
            longest = width + max(most for _, most in asked)
            weights = self._weights(speed.count_parameters(config))
            cost.memory = weights + tried.cached * longest * batch
            cost.basis = "tried with random weights, every answer at its longest"
        return cost


def read_rate(log: Path, params: Params) -> float | None:
    """Tokens a second of a stage's last run, where that was of the same base, computer and round."""
    try:
        facts = json.loads(log.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    seconds = facts.get("train_seconds")
    same = facts.get("speed") == run.name_speed(params)
    return facts["tokens"] / seconds if same and seconds else None


def find_config(params: Params, paths: Paths) -> Any:
    """The configuration of the base model: from the profile, its folder, or the hub's cache. LookupError, with why."""
    base = params.base.model
    if isinstance(base, ScratchBase):
        from relearn.training.scratch import make_config

        return make_config(base, base.vocabulary)
    folder = paths.sources / params.profile
    return _read_gguf_config(base, folder) if isinstance(base, GgufBase) else _read_config(base, folder)


def _read_gguf_config(base: GgufBase, folder: Path) -> Any:
    from relearn.gguf.convert import read_config
    from relearn.packages import find_file

    try:
        file = folder / base.path if base.package is None else find_file(base.package, base.path, base.sha256)
        return read_config(file)
    except InputError as error:
        raise LookupError(str(error)) from None


def _read_config(base: ModelBase, folder: Path) -> Any:
    from transformers import AutoConfig

    place = folder / base.path if base.revision is None else base.path
    try:
        return AutoConfig.from_pretrained(place, revision=base.revision, local_files_only=True)
    except (OSError, ValueError):
        raise LookupError(f"{base.path} is not on this machine yet, so its shape is unknown") from None
