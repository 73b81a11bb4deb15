"""The whole tree, and the rules that hold between its groups."""

from __future__ import annotations

from pydantic import model_validator

from relearn.params.base import Base
from relearn.params.compute import ChatTemplate, Compute, Launch, SingleLaunch
from relearn.params.evaluate import Eval3a, Probe3b, SandboxRules
from relearn.params.finetune import Finetune, Finetune2b, Finetune2c, LrRange
from relearn.params.generate import Generate
from relearn.params.group import Group, key
from relearn.params.predict import EndpointBackend, Predict
from relearn.params.prepare import Prepare
from relearn.params.repair import Repair

MOST_SEED = 2**31 - 1


class Params(Group):
    """The whole tree: `params.yaml` and the active profile."""

    profile: str = key("Profile: a file of profiles/ without its ending.", pattern=r"^[A-Za-z0-9_-]+$")
    lr: float = key("Learning rate of both LoRA rounds: the lever of forgetting.", gt=0)
    seed: int = key("Seed of everything that is drawn.", ge=0, le=MOST_SEED)
    seeds: list[int] = key(
        "Further training seeds: both rounds are run again with each, on the same base and data, and the table shows "
        "the spread over seeds beside the spread over prompts. Each costs two rounds, and decoding with two models."
    )
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
    sandbox: SandboxRules
    eval_3a: Eval3a
    probe_3b: Probe3b

    @model_validator(mode="after")
    def _seeds(self) -> Params:
        for seed in self.seeds:
            if not 0 <= seed <= MOST_SEED:
                raise ValueError(f"seeds: {seed} is out of bounds; a seed is from 0 to {MOST_SEED}")
            if seed == self.seed:
                raise ValueError(
                    f"seeds: {seed} is the main seed (params.yaml), whose rounds are run anyway; list others only"
                )
            if self.seeds.count(seed) > 1:
                raise ValueError(f"seeds: {seed} is there twice; list each seed once")
        if self.seeds and isinstance(self.predict.backend, EndpointBackend):
            raise ValueError(
                "seeds: a server answers as three models only (predict.backend endpoint); use the local backend, or []"
            )
        return self

    @model_validator(mode="after")
    def _rules(self) -> Params:
        low, high = self.lr_range.min, self.lr_range.max
        if not low <= self.lr <= high:
            raise ValueError(f"lr: {self.lr:g} is outside the range of profile {self.profile}, {low:g} to {high:g}")
        if self.compute.device == "cpu":
            if self.compute.quantize != "none":
                raise ValueError("compute.quantize: 4bit needs compute.device cuda; use none on cpu")
            if self.finetune.optimizer != "adamw":
                raise ValueError("finetune.optimizer: adamw_8bit needs compute.device cuda; use adamw on cpu")
        if self.compute.quantize == "4bit" and self.compute.precision != "bf16":
            raise ValueError("compute.precision: 4bit weights are computed with in bf16; use bf16")
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
