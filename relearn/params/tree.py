"""The whole tree, and the rules that hold between its groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from relearn.params.base import Base, ModelBase
from relearn.params.compute import ChatTemplate, Compute, Launch, SingleLaunch, TorchrunLaunch
from relearn.params.evaluate import METRICS, Eval3a, MetricLists, Probe3b, SandboxRules
from relearn.params.finetune import Finetune, Finetune2b, Finetune2c, LrRange
from relearn.params.generate import Generate
from relearn.params.group import Group, TaskGroup, key
from relearn.params.judge import Judging
from relearn.params.moves import MOVES
from relearn.params.names import nearest
from relearn.params.predict import DriftMeter, EndpointBackend, MaxNewTokens, Predict, VllmBackend
from relearn.params.prepare import Prepare, SkillsSource
from relearn.params.repair import Repair
from relearn.params.tasks import RESERVED, Report, Task, TaskName, TasksInWords

MOST_SEED = 2**31 - 1
# The groups that hold a key for each task, and whether every task has to be there.
TASK_GROUPS: dict[str, type[TaskGroup[Any]]] = {
    "prepare": Prepare,
    "generate": Generate,
    "repair": Repair,
    "predict.max_new_tokens": MaxNewTokens,
    "eval_3a.metrics": MetricLists,
    "report.tasks": TasksInWords,
}
OF_EVERY_TASK = ("prepare", "predict.max_new_tokens", "eval_3a.metrics")


class Params(Group):
    """The whole tree: `params.yaml` and the active profile."""

    profile: str = key("Profile: a file of profiles/ without its ending.", pattern=r"^[A-Za-z0-9_-]+$")
    lr: float = key("Learning rate of both LoRA rounds: the lever of forgetting.", gt=0)
    seed: int = key("Seed of everything that is drawn.", ge=0, le=MOST_SEED)
    seeds: list[int] = key(
        "Further training seeds: both rounds are run again with each, on the same base and data, and the table shows "
        "the spread over seeds beside the spread over prompts. Each costs two rounds, and decoding with two models."
    )
    method: str = key(
        "Method of the first round: a file of relearn/training/methods/, and a key of finetune_2b.methods.",
        pattern=r"^[a-z][a-z0-9_]*$",
    )
    tasks: dict[TaskName, Task] = key("The tasks, in the order of the tables.", min_length=2)
    prepare: Prepare
    generate: Generate
    repair: Repair
    chat: ChatTemplate
    compute: Compute
    launch: Launch
    base: Base
    lr_range: LrRange
    finetune: Finetune
    finetune_2b: Finetune2b
    finetune_2c: Finetune2c
    predict: Predict
    drift: DriftMeter
    judge: Judging | None = key("A model that judges pairs of answers to open prompts (docs/judge.md); null: no judge.")
    sandbox: SandboxRules
    eval_3a: Eval3a
    probe_3b: Probe3b
    report: Report

    @property
    def replays(self) -> bool:
        """Whether the second round trains at all."""
        return bool(self.named("replayed")) and self.finetune_2c.epochs > 0

    def named(self, *roles: str) -> list[str]:
        """The tasks of these roles, in the order of the tables."""
        return [name for name, task in self.tasks.items() if task.role in roles]

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        """Refuses moved keys, and keys of tasks that do not exist, before they are read as something else."""
        if not isinstance(values, dict):
            return values
        tasks = values.get("tasks")
        for old in MOVES:
            *groups, name = old.split(".")
            if name not in (tasks or ()) and name in _reach(values, groups):
                raise PydanticCustomError("moved_key", "moved", {"path": old})
        if isinstance(tasks, dict):
            for path, group in TASK_GROUPS.items():
                known = [*group.model_fields, *tasks]
                for name in _reach(values, path.split(".")):
                    if name not in known:
                        raise PydanticCustomError("unknown_key", "unknown", {"path": f"{path}.{name}", "known": known})
        return values

    @model_validator(mode="after")
    def _task_rules(self) -> Params:
        for mistake in _find_mistakes(self):
            raise ValueError(mistake)
        return self

    @model_validator(mode="after")
    def _seeds(self) -> Params:
        for seed in self.seeds:
            if not 0 <= seed <= MOST_SEED:
                raise ValueError(f"seeds: {seed} is out of bounds; use a seed from 0 to {MOST_SEED}")
            if seed == self.seed:
                raise ValueError(
                    f"seeds: {seed} is the main seed (params.yaml), whose rounds are run anyway; list others only"
                )
            if self.seeds.count(seed) > 1:
                raise ValueError(f"seeds: {seed} is listed twice; list each seed once")
        if self.seeds and isinstance(self.predict.backend, EndpointBackend):
            raise ValueError(
                "seeds: a server answers as only three models (predict.backend endpoint); use the local backend or vllm, or []"
            )
        return self

    @model_validator(mode="after")
    def _rules(self) -> Params:
        low, high = self.lr_range.min, self.lr_range.max
        if not low <= self.lr <= high:
            raise ValueError(
                f"lr: {self.lr:g} is outside the range of profile {self.profile}, {low:g} to {high:g}; choose an lr in it, or widen lr_range"
            )
        if self.compute.device == "cpu":
            if self.compute.quantize != "none":
                raise ValueError("compute.quantize: 4bit needs compute.device cuda; use none on cpu")
            if self.finetune.optimizer != "adamw":
                raise ValueError("finetune.optimizer: adamw_8bit needs compute.device cuda; use adamw on cpu")
        for name in ("scales", "decode_scales"):
            adapted = isinstance(self.base.model, ModelBase) and self.base.model.adapt is not None
            if adapted and getattr(self.predict, name):
                raise ValueError(
                    f"predict.{name}: base has an adapter of its own (base.model.adapt), so scaling the tuned one does not start "
                    "from base; use []"
                )
        if self.compute.quantize != "none" and isinstance(self.predict.backend, VllmBackend):
            raise ValueError(
                "predict.backend: vLLM is started with whole weights; use backend local, or compute.quantize none"
            )
        if self.compute.quantize != "none" and isinstance(self.launch, TorchrunLaunch) and self.launch.shard:
            raise ValueError(
                "launch.shard: 4bit weights cannot be shared out; use shard: false, or compute.quantize none"
            )
        if self.compute.quantize == "4bit" and self.compute.precision != "bf16":
            raise ValueError("compute.precision: 4bit weights need bf16; use bf16")
        return self

    @model_validator(mode="after")
    def _processes(self) -> Params:
        if isinstance(self.launch, SingleLaunch):
            return self
        count, rows, passes = self.launch.processes, self.finetune.batch_size, self.finetune.accumulation
        if passes % count and rows % count:
            raise ValueError(
                f"launch.processes: {count} processes cannot share updates of {passes} passes of {rows} rows; "
                f"make finetune.accumulation or finetune.batch_size a multiple of {count}"
            )
        return self


def _reach(values: Any, path: list[str]) -> Mapping[str, Any]:
    """The group at `path` of what was read; empty where there is none."""
    for part in path:
        values = values.get(part) if isinstance(values, dict) else None
    return values if isinstance(values, dict) else {}


def _find_mistakes(params: Params) -> Iterator[str]:
    """What is wrong with the tasks, as `key: what`."""
    fixed = {name for group in TASK_GROUPS.values() for name in group.model_fields}
    for name in params.tasks:
        if name in fixed or name in RESERVED:
            yield f"tasks.{name}: is a reserved name; give the task another name"
    old, new = params.named("replayed", "watched"), params.named("new")
    if not new or not old:
        yield "tasks: needs a task of role new, and one of role replayed or watched; add one"
    groups = {path: _walk(params, path).by_task for path in TASK_GROUPS}
    for path in OF_EVERY_TASK:
        for name in params.tasks:
            if name not in groups[path]:
                yield f"{path}.{name}: missing; add it, since every task has it (docs/parameters.md describes it)"
    asked = [name for name in new if params.generate.by_task.get(name) is not None]
    for group, those, them in (("generate", new, "tasks of role new"), ("repair", asked, "generated tasks")):
        for name in those:
            if name not in groups[group]:
                yield f"{group}.{name}: missing; add it (docs/parameters.md describes it)"
        for name in groups[group]:
            if name not in those:
                yield f"{group}.{name}: belongs only to {them}; remove it"
    for name, rows in params.prepare.by_task.items():
        if isinstance(rows.source, SkillsSource):
            if params.tasks[name].role != "watched":
                yield f"tasks.{name}.role: a suite of skills is watched, since nobody trains on it; write watched"
            if rows.train + rows.val:
                yield f"prepare.{name}.train: nobody trains on a suite of skills; give 0, and val: 0"
            continue
        for split in ("train", "val"):
            if not getattr(rows, split) and params.tasks[name].role != "watched":
                yield f"prepare.{name}.{split}: a {params.tasks[name].role} task is trained; give 1 or more"
        if rows.is_texts and name not in asked:
            yield f"prepare.{name}.source: gives texts for a teacher, but generate.{name} asks none; name rows with responses"
        if not rows.is_texts and name in asked:
            yield f"prepare.{name}.source: gives rows, but generate.{name} asks a teacher; set that to null, or name texts"
    for name, metrics in params.eval_3a.metrics.by_task.items():
        for number, metric in enumerate(metrics):
            if metric not in METRICS:
                yield f"eval_3a.metrics.{name}.{number}: {metric} is unknown{nearest(metric, METRICS)}; one of {', '.join(METRICS)}"
            if metric in metrics[:number]:
                yield f"eval_3a.metrics.{name}.{number}: {metric} is listed twice; list it once"
    judged = [] if params.judge is None else params.judge.tasks
    for where, names in (("judge.tasks", judged), ("predict.likelihoods", params.predict.likelihoods or [])):
        for number, name in enumerate(names):
            if name not in params.tasks:
                yield f"{where}.{number}: {name} is not a task{nearest(name, list(params.tasks))}; one of {', '.join(params.tasks)}"
            if name in names[:number]:
                yield f"{where}.{number}: {name} is listed twice; list it once"
    methods = list(type(params.finetune_2b.methods).model_fields)
    if params.method not in methods:
        yield f"method: {params.method} is unknown{nearest(params.method, methods)}; one of {', '.join(methods)}"
    if params.method == "replay" and not params.named("replayed"):
        yield "method: replay needs a task of role replayed; add one, or use plain"


def _walk(params: Params, path: str) -> Any:
    found: Any = params
    for part in path.split("."):
        found = getattr(found, part)
    return found
