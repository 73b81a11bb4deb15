"""How the base model is made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from relearn.params.group import Group, key


class ScratchBase(Group):
    """A byte-level BPE and a small Llama, trained here on the old tasks."""

    kind: Literal["scratch"]
    vocabulary: int = key("Size of the byte-level BPE.", "tokens", ge=300, le=65536)
    hidden: int = key("Width of the residual stream.", "units", ge=8)
    layers: int = key("Transformer blocks.", "layers", ge=1)
    heads: int = key("Attention heads; must divide hidden.", "heads", ge=1)
    intermediate: int = key("Width of the feed-forward layers.", "units", ge=8)
    epochs: float = key("Passes over the old tasks' data.", "epochs", gt=0)
    batch_size: int = key("Rows of one update.", "rows", ge=1)
    lr: float = key("Peak learning rate, cosine to a tenth.", gt=0, le=0.1)
    warmup: float = key("Share of the steps over which the rate rises.", "share", ge=0, le=0.5)
    weight_decay: float = key("AdamW's weight decay.", ge=0, le=1)
    max_tokens: int = key("Longest row; longer ones are left out and counted.", "tokens", ge=16)
    review_instruction: str | None = key(
        "Instruction under which the base also learns to write the training texts shown to the teacher, so that it has seen their words in another context; null leaves them out."
    )

    @model_validator(mode="after")
    def _heads(self) -> ScratchBase:
        if self.hidden % self.heads or (self.hidden // self.heads) % 2:
            raise ValueError(
                f"hidden ({self.hidden}) must be an even multiple of heads ({self.heads}); change one of them"
            )
        return self


class Adapt(Group):
    """A LoRA round on the rows of the replayed tasks before the experiment, so that base has a skill to lose."""

    epochs: float = key("Passes over the rows of the replayed tasks.", "epochs", gt=0)
    lr: float = key("Learning rate of this round.", gt=0, le=0.1)


class ModelBase(Group):
    """A model of the hub, or a local folder in Hugging Face format."""

    kind: Literal["model"]
    path: str = key(
        "Hub repository (owner/name); with revision null, a folder under data/sources/<profile>/.", min_length=1
    )
    revision: str | None = key("Branch, tag or commit of the hub; null for a folder.")
    adapt: Adapt | None = key("LoRA round on the original data first; null takes the model as it is.")


class GgufBase(Group):
    """A model in llama.cpp's file format, converted once into safetensors."""

    kind: Literal["gguf"]
    package: str | None = key(
        "Installed Python package that holds the file; null: a folder.", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"
    )
    path: str = key("The file, inside the package, or with package null under data/sources/<profile>/.", min_length=1)
    sha256: str = key("The file's SHA-256, which is checked; another file is another model.", pattern=r"^[0-9a-f]{64}$")
    adapt: Adapt | None = key(
        "LoRA round on the original data first, merged into the weights; null takes the model as it is."
    )


class Base(Group):
    """How the base model is made."""

    model: Annotated[ScratchBase | ModelBase | GgufBase, Field(discriminator="kind")]
