"""What every stage with a model shares: the chat template, the machine, and how processes are started."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from relearn.params.group import Group, key


class ChatTemplate(Group):
    """A conversation as the model sees it."""

    template: str = key(
        "Jinja2 chat template over `messages` (and `add_generation_prompt`), used where the tokenizer brings none of its own.",
        min_length=1,
    )
    arguments: dict[str, Any] = key(
        "Further arguments of the template, such as enable_thinking: false; {} for none. An argument that it does not know is refused."
    )
    date: str = key("Today's date for a template that writes it, as '2026-01-31': one for all models.")
    train_on: Literal["last", "all"] = key("Which of a row's assistant turns carry loss.")

    @field_validator("date", mode="before")
    @classmethod
    def _unquoted(cls, value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value  # YAML's own dates

    @field_validator("date")
    @classmethod
    def _real(cls, value: str) -> str:
        if len(value) != len("2026-01-31"):
            raise ValueError(f"{value!r} is not a date; write one as '2026-01-31'")
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise ValueError(f"{value!r} is not a date; write one as '2026-01-31'") from None


class Compute(Group):
    """The machine."""

    device: Literal["cpu", "cuda"] = key("Where models run.")
    threads: int = key("CPU threads of torch; part of the result, so fixed.", "threads", ge=1, le=256)
    precision: Literal["fp32", "bf16"] = key(
        "Precision of the frozen weights, and of what is computed with them; adapters and optimizer are fp32. `python -m stages.parameters` says which is faster on this CPU."
    )
    quantize: Literal["none", "4bit"] = key("4bit is QLoRA (Dettmers et al. 2023); needs CUDA and bitsandbytes.")


class SingleLaunch(Group):
    """The stage's own process trains and decodes."""

    kind: Literal["single"]


class TorchrunLaunch(Group):
    """One process a device on this machine, started by torchrun (DistributedDataParallel)."""

    kind: Literal["torchrun"]
    shard: bool = key(
        "Each process keeps only a part of the base's weights (FSDP2), for a base that one device cannot hold; slower."
    )
    processes: int = key(
        "Processes; each takes its part of the same updates, so that the losses stay those of one process, and of the same "
        "batches of prompts, so that the answers do.",
        "processes",
        ge=2,
        le=1024,
    )


class AccelerateLaunch(Group):
    """Processes started by `accelerate launch`: DDP, FSDP or DeepSpeed, on one machine or more."""

    kind: Literal["accelerate"]
    config: str = key(
        "Accelerate's configuration file, from the root of the repository; made by `accelerate config --config_file`.",
        min_length=1,
    )
    processes: int = key(
        "Processes in all (num_processes of that file); checked, since accelerate may start fewer.",
        "processes",
        ge=2,
        le=1024,
    )


Launch = Annotated[SingleLaunch | TorchrunLaunch | AccelerateLaunch, Field(discriminator="kind")]
