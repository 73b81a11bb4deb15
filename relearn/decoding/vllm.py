"""vLLM's own server, started for one stage: base and its adapters from one copy of the weights, and their likelihoods.

Answers come through chat completions (`relearn.decoding.endpoint`), the likelihood of a text that the caller chose
through completions: vLLM takes a prompt as token ids and gives the log-probability of each (`prompt_logprobs`).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import openai

from relearn.chat import Chat
from relearn.decoding.items import Prompt
from relearn.decoding.keeping import find_or_compute, name_batch
from relearn.decoding.own_server import find_free_port, keep_running
from relearn.endpoint.client import locate
from relearn.endpoint.request import Address
from relearn.endpoint.tally import AskSettings
from relearn.errors import InputError, first_line
from relearn.files import write_text
from relearn.params.predict import VllmBackend
from relearn.progress import Progress

WEIGHTS = "weights"  # the name under which the weights without an adapter are served
HEAD = "lm_head"
OF_ADAPTERS = ("--enable-lora", "--max-lora-rank", "--lora-target-modules", "--lora-modules")
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that --max-lora-rank takes
PLAIN_INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")  # that leave the base's weights as they are
# Of an adapter's configuration: what vLLM refuses, or would leave out without a word.
NOT_SERVED = {
    "use_dora": "DoRA",
    "modules_to_save": "modules saved whole",
    "lora_bias": "biases",
    "layer_replication": "replicated layers",
    "alora_invocation_tokens": "activation by tokens",
    "trainable_token_indices": "trained tokens",
    "use_qalora": "QA-LoRA",
    "use_bdlora": "block-diagonal LoRA",
}
CHUNK = 256  # references that are kept together
TOKENS = "prompt_logprobs"
_TODAY = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""")


def read_adapter(folder: Path, label: str) -> tuple[int, set[str]]:
    """An adapter's largest rank, and the last parts of the names of the modules that it changes.

    InputError, which names what it has, where vLLM does not serve such an adapter.
    """
    config: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    rank: int = max([config.get("r") or 0, *(config.get("rank_pattern") or {}).values()])
    targets = {str(name).rpartition(".")[2] for name in config.get("target_modules") or ()}
    init = config.get("init_lora_weights")
    found = next((what for key, what in NOT_SERVED.items() if config.get(key)), None)
    if config.get("peft_type") != "LORA":
        found = str(config.get("peft_type"))
    elif config.get("bias", "none") != "none":
        found = "biases"
    elif isinstance(init, str) and init.lower() not in PLAIN_INITS:
        found = f"init_lora_weights {init}"
    elif HEAD in targets:
        found = f"changes of {HEAD}"
    elif rank > RANKS[-1]:
        found = f"rank {rank}, above {RANKS[-1]}"
    if found is not None:
        raise InputError(
            f"predict.backend: vLLM does not serve {label}, whose adapter has {found} ({folder}); use backend local"
        )
    return rank, targets


def count_longest(chat: Chat, items: Sequence[Prompt]) -> int:
    """Tokens of the longest text that is read or written."""
    longest = 1
    for item in items:
        longest = max(longest, len(chat.encode_prompt(item.messages)) + item.limit)
        if item.weighed_reference is not None:
            context, reference = _encode(chat, item, item.weighed_reference)
            longest = max(longest, len(context) + len(reference) + 1)
    return longest


@contextmanager
def serve(
    weights: Path,
    adapters: Mapping[str, Path],
    chat: Chat,
    backend: VllmBackend,
    precision: Literal["fp32", "bf16"],
    longest: int,
    folder: Path,
) -> Iterator[Address]:
    """Runs vLLM on a free port of this machine and gives its address; `adapters` are served under their names, the
    weights alone as WEIGHTS.

    Only this process has the key that it asks for. `longest` is the longest text in tokens; `folder` takes vLLM's log and
    the chat template. Raises InputError for adapters that vLLM does not serve, and when it does not start.
    """
    read = [read_adapter(path, name) for name, path in adapters.items()]
    python = _find_python(backend.python)
    template = folder / "chat_template.jinja"
    write_text(template, _fix_date(chat))
    port, key = find_free_port(), secrets.token_hex(16)
    options = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--dtype": "bfloat16" if precision == "bf16" else "float32",
        "--tensor-parallel-size": str(backend.tensor_parallel),
        "--max-model-len": str(longest),
        "--served-model-name": WEIGHTS,
        "--generation-config": "vllm",  # no penalty that a model ships with
        "--chat-template": str(template.resolve()),
        "--chat-template-content-format": "string",
    }
    command = [python, "-m", "vllm.entrypoints.cli.main", "serve", str(weights.resolve())]
    command += [word for option in options.items() for word in option]
    if adapters:
        rank = next(most for most in RANKS if most >= max(rank for rank, _ in read))
        # These alone, or vLLM would see to the head too, which fails with prompt_logprobs of several requests at once.
        targets = sorted({name for _, names in read for name in names})
        modules = [json.dumps({"name": name, "path": str(path.resolve())}) for name, path in adapters.items()]
        command += [
            "--enable-lora",
            "--max-lora-rank",
            str(rank),
            "--lora-target-modules",
            *targets,
            "--lora-modules",
            *modules,
        ]
    for argument in backend.arguments:
        if argument.partition("=")[0] in {*options, *OF_ADAPTERS, "--api-key"}:
            raise InputError(f"predict.backend.arguments: {argument} is set from the profile; remove it")
    # Another environment's Python must not find this one's packages.
    kept = {
        name: value
        for name, value in os.environ.items()
        if backend.python is None or not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    environment = {**kept, "VLLM_API_KEY": key, "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    address = Address.of(f"http://127.0.0.1:{port}/v1", key)
    name = f"vLLM (predict.backend, {python})"
    with keep_running(
        name,
        [*command, *backend.arguments],
        environment,
        folder / "vllm.log",
        partial(_is_up, address),
        backend.start_s,
    ):
        yield address


def check_template(address: Address, chat: Chat, item: Prompt) -> None:
    """Raises InputError when the server makes other tokens of a prompt than this project does."""
    body = {
        "model": WEIGHTS,
        "messages": [{"role": turn.role, "content": turn.content} for turn in item.messages],
        "chat_template_kwargs": chat.arguments,
    }
    # Beside /v1, not under it.
    found = json.loads(_ask(address, address.base_url.removesuffix("/v1") + "/tokenize", body))
    if found["tokens"] != chat.encode_prompt(item.messages):
        raise InputError(
            f"predict.backend: vLLM renders a prompt otherwise than {chat.source} does here (it begins "
            f"{item.instruction[:40]!r}); use backend local"
        )


def name_stops(chat: Chat) -> dict[str, Any]:
    """What ends an answer, as fields of a request."""
    return {"stop_token_ids": sorted(chat.stops), **({"stop": [chat.stop_text]} if chat.stop_text else {})}


def score(
    address: Address,
    model: str,
    chat: Chat,
    items: Sequence[Prompt],
    how: AskSettings,
    label: str,
    kept: Path | None = None,
) -> list[float | None]:
    """The summed negative log-likelihood, in nats, of each item's reference and its end; None where none is wanted.

    The tokens are those that `relearn.decoding.local` weighs. `kept` is a folder of this model's likelihoods: what is
    there is not asked again.
    """
    rows = {
        index: _encode(chat, item, reference)
        for index, item in enumerate(items)
        if (reference := item.weighed_reference) is not None
    }
    found: list[float | None] = [None] * len(items)
    asked = list(rows)
    client = openai.OpenAI(
        **locate(address),
        max_retries=how.attempts - 1,
        timeout=how.timeout_s,
        http_client=openai.DefaultHttpxClient(trust_env=False, follow_redirects=False),
    )
    with client, ThreadPoolExecutor(how.concurrency) as pool, Progress(label, len(asked), "references") as bar:

        def compute(part: Sequence[tuple[list[int], list[int]]]) -> list[float]:
            return list(pool.map(partial(_weigh, client, model, label), part))

        for start in range(0, len(asked), CHUNK):
            part = [rows[index] for index in asked[start : start + CHUNK]]
            nlls = find_or_compute(kept, name_batch(["likelihoods", part]), partial(compute, part))
            for index, nll in zip(asked[start : start + CHUNK], nlls, strict=True):
                found[index] = nll
            bar.update(len(part))
    return found


def _encode(chat: Chat, item: Prompt, reference: str) -> tuple[list[int], list[int]]:
    return chat.encode_context(item.messages), chat.encode_response(reference)


def _weigh(client: openai.OpenAI, model: str, label: str, row: tuple[list[int], list[int]]) -> float:
    context, reference = row
    tokens = [*context, *reference]
    try:
        # vLLM refuses to write nothing.
        answer = client.completions.create(
            model=model, prompt=tokens, max_tokens=1, temperature=0.0, extra_body={TOKENS: 0}
        )
    except openai.OpenAIError as error:
        raise InputError(f"{label}: a reference got no likelihood ({first_line(error)}); run again") from None
    found: Any = (answer.choices[0].model_extra or {}).get(TOKENS)
    try:
        return -sum(float(found[at][str(tokens[at])]["logprob"]) for at in range(len(context), len(tokens)))
    except (IndexError, KeyError, TypeError):
        raise InputError(
            f"{label}: the server gave no {TOKENS} of the tokens that it was asked about; use a vLLM that does, or backend local"
        ) from None


def _find_python(named: str | None) -> str:
    """The Python that runs vLLM; a path is taken from the root of the repository."""
    if named is None:
        if find_spec("vllm") is None:
            raise InputError(
                "predict.backend: vLLM is not installed in this environment; install it, in an environment of its own at best, and "
                "name that environment's Python (predict.backend.python)"
            )
        return sys.executable
    found = shutil.which(named)
    if found is None:
        raise InputError(f"predict.backend.python: {named}: no such program; name the Python of vLLM's environment")
    return os.path.abspath(found)  # not resolved: a link's place is what tells Python its environment


def _fix_date(chat: Chat) -> str:
    """The chat template, with its date written out."""
    return _TODAY.sub(lambda found: json.dumps(chat.today.strftime(found[2])), chat.template)


def _is_up(address: Address) -> bool:
    try:
        _ask(address, f"{address.base_url}/models")
    except OSError:
        return False
    return True


def _ask(address: Address, url: str, body: object = None) -> bytes:
    headers = {"Authorization": f"Bearer {address.api_key}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as response:
        found: bytes = response.read()
    return found
