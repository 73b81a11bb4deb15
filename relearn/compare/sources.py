"""Models as people give them: a folder, a hub name, an adapter of either; found, checked, and said what they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relearn import hub, model_files
from relearn.chat import choose_template
from relearn.errors import InputError
from relearn.params.names import nearest

HUB_NAME = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
ADAPTER_FILE = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

# Where neither a tokenizer nor the user brings a chat template: the one of Alpaca (Taori et al. 2023).
ALPACA = (
    "{% if bos_token %}{{ bos_token }}{% endif %}{% for message in messages %}{% if message.role == 'user' %}"
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{{ message.content }}\n\n### Response:\n"
    "{% else %}{{ message.content }}{{ eos_token }}{% endif %}{% endfor %}"
)


@dataclass(frozen=True)
class ModelSource:
    """A model that was found. `weights` is None for an adapter, which goes on the base's weights.

    `commit` is that of a hub repository.
    """

    given: str
    weights: Path | None
    adapter: Path | None
    commit: str | None

    def facts(self) -> dict[str, Any]:
        """What a result says of it; never where it lies in a cache."""
        kind = "adapter" if self.weights is None else "model"
        return {"given": self.given, "kind": kind, "commit": self.commit}


def find(given: str, memory: Path) -> ModelSource:
    """The model of a folder, or of the hub (`owner/name`, `owner/name@revision`).

    A folder may be one that the base stage wrote (`base.json`). `memory` keeps which commit a branch named.
    Raises InputError when there is neither, or when it is not a usable model: no safetensors, no tokenizer, a pickle.
    """
    folder, commit = Path(given), None
    if not folder.exists():
        folder, commit = _fetched(given, memory)
    if not folder.is_dir():
        raise InputError(f"{given}: is a file; expected a model's folder or a hub name")
    if (folder / ADAPTER_FILE).is_file():
        _check_adapter(folder, given)
        return ModelSource(given, None, folder, commit)
    weights, adapter = folder, None
    if (folder / model_files.BASE_FILE).is_file():
        weights = model_files.find_weights(folder, folder.resolve().parent.parent)
        if (folder / model_files.ADAPTER).is_dir():
            adapter = folder / model_files.ADAPTER
    model_files.check_model_folder(weights)
    return ModelSource(given, weights, adapter, commit)


def _fetched(given: str, memory: Path) -> tuple[Path, str]:
    match = HUB_NAME.fullmatch(given)
    if match is None:
        raise InputError(
            f"{given}: no such folder{_name_near(given)}, and not a hub name (owner/name or owner/name@revision)"
        )
    repository, revision = match["repository"], match["revision"] or "main"
    try:
        commit = hub.resolve(repository, revision, "model", memory)
        return hub.download(repository, commit, "model", model_files.FETCHED), commit
    except InputError as error:
        raise InputError(f"{given}: no such folder{_name_near(given)}; {error}") from None


def _name_near(given: str) -> str:
    beside = Path(given).parent
    return nearest(Path(given).name, [one.name for one in beside.iterdir()] if beside.is_dir() else [])


def _check_adapter(folder: Path, given: str) -> None:
    if not (folder / ADAPTER_WEIGHTS).is_file():
        pickled = " (adapter_model.bin is a pickle, which can run code)" * (folder / "adapter_model.bin").is_file()
        raise InputError(f"{given}: {ADAPTER_WEIGHTS} is missing{pickled}; save the adapter with safetensors")


def check(sources: Mapping[str, ModelSource]) -> list[str]:
    """Notes on what may not belong together; InputError when base is not a whole model."""
    base = sources["base"]
    if base.weights is None:
        raise InputError(f"{base.given}: is an adapter; --base needs the whole model that it was trained on")
    notes = []
    for role, source in sources.items():
        if source.weights is None and source.adapter is not None:
            named = str(_json(source.adapter / ADAPTER_FILE).get("base_model_name_or_path") or "")
            if named and Path(named).name != Path(base.given.split("@")[0]).name:
                notes.append(
                    f"{role}: the adapter was trained on {named} and is used on {base.given}; check that they are the same"
                )
    return notes


def template_beside(adapter: Path) -> str | None:
    """The chat template that a trainer saved with an adapter, if it did."""
    file = adapter / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    config = adapter / "tokenizer_config.json"
    return choose_template(_json(config).get("chat_template"), str(config)) if config.is_file() else None


def refuse_unknown_tokens(adapter: Path, template: str, tokenizer: Any, weights: Path) -> None:
    """Raises InputError where a template saved with an adapter uses tokens that its trainer added to the tokenizer."""
    file = adapter / "tokenizer.json"
    added = _json(file).get("added_tokens", []) if file.is_file() else []
    names = [str(token.get("content")) for token in added if isinstance(token, dict)]
    known = tokenizer.get_vocab()
    for name in names:
        if name in template and name not in known:
            raise InputError(
                f"{adapter.name}: its chat template uses {name}, a token that the tokenizer of {weights.name} lacks; give a "
                "base with the tokenizer and embeddings that it was trained with, or --template FILE"
            )


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({error}); save the adapter again") from None
    return value if isinstance(value, dict) else {}
