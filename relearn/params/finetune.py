"""The two LoRA rounds: what they share, and what differs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import field_validator, model_validator

from relearn.params.group import Group, key

ALL_LINEAR = "all-linear"  # PEFT's word


class LrRange(Group):
    """The learning rates that make sense for this profile; others are refused. No stage reads it."""

    min: float = key("Smallest lr accepted.", gt=0)
    max: float = key("Largest lr accepted.", gt=0)

    @model_validator(mode="after")
    def _upright(self) -> LrRange:
        if self.max < self.min:
            raise ValueError("max is below min; raise max or lower min")
        return self


class Lora(Group):
    """Low-rank adaptation (Hu et al. 2021)."""

    rank: int = key("Rank of the update.", ge=1, le=1024)
    alpha: int = key("The update is scaled by alpha / rank.", ge=1)
    dropout: float = key("Dropout before the update.", "share", ge=0, lt=1)
    targets: list[str] = key(
        "Modules that get an adapter, by the last parts of their names, or all-linear for every linear one but the head. A name that "
        "no module of the base has is refused.",
        min_length=1,
    )

    @field_validator("targets", mode="before")
    @classmethod
    def _all_linear(cls, value: Any) -> Any:
        return [value] if value == ALL_LINEAR else value

    @model_validator(mode="after")
    def _distinct(self) -> Lora:
        if not all(self.targets) or (ALL_LINEAR in self.targets and len(self.targets) > 1):
            raise ValueError("targets lists names of modules; write such a list, or all-linear alone")
        if len(set(self.targets)) != len(self.targets):
            raise ValueError("targets names a projection twice; name each once")
        return self


class Finetune(Group):
    """What both rounds share."""

    batch_size: int = key("Rows of one forward pass.", "rows", ge=1)
    accumulation: int = key("Forward passes of one update.", "passes", ge=1)
    schedule: Literal["linear", "cosine", "constant"] = key("How lr falls after the warmup.")
    warmup_steps: int = key("Updates over which lr rises.", "updates", ge=0)
    optimizer: Literal["adamw", "adamw_8bit"] = key("adamw_8bit needs CUDA and bitsandbytes.")
    weight_decay: float = key("AdamW's weight decay.", ge=0, le=1)
    max_grad_norm: float = key("Gradient norm above which it is clipped.", gt=0)
    max_tokens: int = key("Longest row; longer ones are left out and counted.", "tokens", ge=16)
    gradient_checkpointing: bool = key("Recompute activations: less memory, about a third slower.")
    eval_every: int = key("Updates between two measurements of the held-out losses.", "updates", ge=1)
    checkpoint_every: int = key("Updates between two checkpoints.", "updates", ge=1)
    lora: Lora

    @model_validator(mode="before")
    @classmethod
    def _packing(cls, values: Any) -> Any:
        if isinstance(values, dict) and "packing" in values:
            raise ValueError(
                "packing is not offered, since rows packed together would see each other under this attention; "
                "remove it: rows of like length are batched together instead"
            )
        return values

    @model_validator(mode="after")
    def _whole_curves(self) -> Finetune:
        if self.checkpoint_every % self.eval_every:
            raise ValueError(
                f"checkpoint_every ({self.checkpoint_every}) must be a multiple of eval_every ({self.eval_every}), "
                "so that a resumed run has the same curves"
            )
        return self


class MethodGroup(Group):
    """The parameters of a method.

    `learns_likelihood`: whether what it lowers is the rows' cross entropy, with a penalty or without. Bits per byte do not say
    all about a method that lowers something else: `make remedies` compares it by its answers too.
    """

    learns_likelihood: ClassVar[bool] = True


class PlainMethod(MethodGroup):
    """The new task alone."""


class ReplayMethod(MethodGroup):
    """Rows of replayed tasks mixed in."""

    share: float = key("Share of the final mix that is rows of replayed tasks.", "share", gt=0, le=0.9)
    control: bool = key("Draw the extra rows from the new tasks instead: as many updates, without replay.")


class KlMethod(MethodGroup):
    """Cross entropy, kept close to the base on the new task's tokens."""

    beta: float = key("Weight of KL(base‖model), a mean over tokens as the loss is.", gt=0, le=1000)


class DftMethod(MethodGroup):
    """Each token's loss times its own probability."""

    learns_likelihood = False


class AsftMethod(MethodGroup):
    """dft, kept close to the base on the new task's tokens."""

    learns_likelihood = False

    alpha: float = key("Weight of the divergence, a mean over tokens as the loss is.", gt=0, le=1000)
    direction: Literal["forward", "reverse"] = key("forward: KL(base‖model); reverse: KL(model‖base).")


class EaftMethod(MethodGroup):
    """Each token's loss times the model's entropy there."""

    learns_likelihood = False

    top: int = key("Likeliest tokens that the entropy is taken over.", "tokens", ge=2, le=1000)
    alpha: float = key("Exponent of the weight.", ge=0, le=10)


class StmMethod(MethodGroup):
    """Tokens that surprise the base are not learned."""

    learns_likelihood = False

    threshold: float = key("Greatest perplexity of a token under the base, 1 over its probability.", gt=1)


class L2InitMethod(MethodGroup):
    """Kept close to the starting weights."""

    strength: float = key("Weight of the summed squared change of the trained weights.", gt=0, le=1000)


class SelfReplayMethod(MethodGroup):
    """Kept close to the base on rows that the base wrote itself."""

    mode: Literal["kl", "rows"] = key(
        "kl: a divergence keeps the model close; rows: the rows are learned like the others."
    )
    beta: float = key("Weight of KL(base‖model), the mean over an update's sampled tokens.", gt=0, le=1000)
    per_update: int = key("Sampled rows of each update, in mode kl.", "rows", ge=1, le=1000)


class Methods(Group):
    """The parameters of every method; `method` in params.yaml chooses one, a file of relearn/training/methods/."""

    plain: PlainMethod
    replay: ReplayMethod
    kl: KlMethod
    dft: DftMethod
    asft: AsftMethod
    eaft: EaftMethod
    stm: StmMethod
    l2_init: L2InitMethod
    self_replay: SelfReplayMethod

    @classmethod
    def learns_likelihood(cls, method: str) -> bool:
        """Whether a method's loss is the likelihood; so it is taken to be for a method that there no longer is."""
        field = cls.model_fields.get(method)
        return field is None or bool(getattr(field.annotation, "learns_likelihood", True))


class Samples(Group):
    """What the base writes, once, for a method that needs it; nothing is drawn for the others."""

    count: int = key("Rows to draw.", "rows", ge=1, le=100_000)
    prompts: Literal["template", "new"] = key(
        "template: the base writes the prompts too, from what its chat template puts before a user's turn; new: the training "
        "prompts of the new tasks, as many as there are rows at most."
    )
    prompt_tokens: int = key("Longest prompt that it writes.", "tokens", ge=1)
    answer_tokens: int = key("Longest answer.", "tokens", ge=1)
    batch_size: int = key("Rows drawn at a time.", "rows", ge=1)


class Finetune2b(Group):
    """The first round: the new task."""

    epochs: float = key("Passes over the new task.", "epochs", gt=0)
    sample: Samples
    methods: Methods


class Finetune2c(Group):
    """The second round: replay."""

    epochs: float = key(
        "Passes over the replayed data; 0: 2c is a copy of 2b, and tables leave it out.", "epochs", ge=0
    )
    data: Literal["original", "combined"] = key("original: rows of replayed tasks; combined: old and new together.")
    share: float = key("Share of the training rows of replayed tasks that is replayed.", "share", gt=0, le=1)
