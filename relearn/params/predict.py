"""How the held-out prompts are answered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from relearn.params.group import Group, TaskGroup, key

MOST_SCALE = 4.0  # of an adapter: answers break down long before


class MaxNewTokens(TaskGroup[Annotated[int, key("Longest answer to a prompt of the task.", "tokens", ge=1)]]):
    """Longest answer of each task."""

    probe: int = key("Longest answer to a probe.", "tokens", ge=1)


class DriftMeter(Group):
    """How far a model has moved from base, along base's own answers to prompts of the new tasks."""

    prompts: int = key("Held-out prompts of each new task; 0 measures nothing.", "prompts", ge=0)
    answer_tokens: int = key("Longest answer that base draws.", "tokens", ge=1)
    batch_size: int = key("Answers drawn at a time.", "rows", ge=1)


class Greedy(Group):
    """The likeliest token each time."""

    kind: Literal["greedy"]


class Beam(Group):
    """Beam search."""

    kind: Literal["beam"]
    width: int = key("Beams kept.", "beams", ge=2, le=64)


class Sampled(Group):
    """Sampling from the whole distribution (`temperature`)."""

    kind: Literal["temperature"]
    temperature: float = key("Logits are divided by it.", gt=0, le=5)


class TopK(Group):
    """Sampling from the likeliest tokens (Fan et al. 2018)."""

    kind: Literal["top_k"]
    k: int = key("Tokens drawn from.", "tokens", ge=1)
    temperature: float = key("Logits are divided by it.", gt=0, le=5)


class LocalBackend(Group):
    """This process, on `compute.device`."""

    kind: Literal["local"]


class ServedModels(Group):
    """The names under which a server answers as each model."""

    base: str = key("Name of the base model.", min_length=1)
    m2b: str = key("Name of the model after the first round.", min_length=1, alias="2b")
    m2c: str = key("Name of the model after the second round.", min_length=1, alias="2c")


class EndpointBackend(Group):
    """A server of OpenAI's chat completions that serves the three models by name, such as vLLM with LoRA modules; no bits per byte then."""

    kind: Literal["endpoint"]
    base_url: str = key("The API's address, up to and including /v1.", pattern=r"^https?://\S+$")
    api_key_env: str | None = key(
        "Name of the environment variable that holds the key; null where the server needs none.",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
    )
    models: ServedModels
    concurrency: int = key("Requests in flight.", "requests", ge=1, le=1024)
    timeout_s: float = key("Longest wait for one answer.", "seconds", gt=0)
    attempts: int = key("Attempts at one request before it counts as failed.", "attempts", ge=1, le=50)


class VllmBackend(Group):
    """vLLM's server on this machine, started and stopped by the stage, with the adapters as LoRA modules."""

    kind: Literal["vllm"]
    python: str | None = key(
        "The Python of the environment that has vLLM, as a path or a program's name; null: this one has it.",
        min_length=1,
    )
    tensor_parallel: int = key("Devices that share each layer.", "devices", ge=1, le=1024)
    arguments: list[str] = key("Further arguments of `vllm serve`, such as --gpu-memory-utilization=0.8; [] for none.")
    start_s: float = key("Longest wait for the server's first answer.", "seconds", gt=0)
    concurrency: int = key("Requests in flight.", "requests", ge=1, le=1024)
    timeout_s: float = key("Longest wait for one answer.", "seconds", gt=0)
    attempts: int = key("Attempts at one request before it counts as failed.", "attempts", ge=1, le=50)


class Predict(Group):
    """Decoding the held-out prompts."""

    backend: Annotated[LocalBackend | EndpointBackend | VllmBackend, Field(discriminator="kind")]
    strategy: Annotated[Greedy | Beam | Sampled | TopK, Field(discriminator="kind")]
    batch_size: int = key(
        "Prompts decoded together; fixed, since another order of sums changes the last bits.", "prompts", ge=1
    )
    max_new_tokens: MaxNewTokens
    likelihoods: list[str] | None = key(
        "Tasks whose references' likelihoods are found, for bits per byte and the curve; null: all. Long references take as "
        "long as answers do."
    )
    scales: list[float] = key(
        "The learn-forget curve: the factors of the tuned model's change under which the references' likelihoods are found, "
        "untrained and without decoding (Wortsman et al. 2022). 0 is base and 1 the tuned model, which are always there; [] "
        "for no curve. The whole curve is 0 to 1.5 in steps of 0.125."
    )
    scale_rows: int | None = key("Most rows of a task on the curve, drawn under seed; null: all.", "rows", ge=1)
    decode_scales: list[float] = key(
        "Factors under which the tuned model also answers, as a model of its own in the tables, compared with base: "
        "0.5 keeps much of what was learned and little of the damage."
    )

    @model_validator(mode="after")
    def _scales(self) -> Predict:
        for name in ("scales", "decode_scales"):
            factors: list[float] = getattr(self, name)
            for factor in factors:
                if not 0 <= factor <= MOST_SCALE:
                    raise ValueError(f"{name}: {factor:g} is out of bounds; give factors from 0 to {MOST_SCALE:g}")
                if name == "decode_scales" and factor in (0, 1):
                    raise ValueError(
                        f"{name}: {factor:g} is {'the tuned model' if factor else 'base'} itself, which answers anyway; remove it"
                    )
                if factors.count(factor) > 1:
                    raise ValueError(f"{name}: {factor:g} is listed twice; list each once")
        return self

    @model_validator(mode="after")
    def _askable(self) -> Predict:
        served = not isinstance(self.backend, LocalBackend)
        if served and isinstance(self.strategy, Beam):
            raise ValueError(
                "strategy: an endpoint cannot do beam search; use greedy, temperature or top_k, or backend local"
            )
        for name in ("scales", "decode_scales"):
            if served and getattr(self, name):
                raise ValueError(f"{name}: a server does not scale an adapter; use backend local, or []")
        return self
