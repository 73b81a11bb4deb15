"""The files of a model: which folder holds a base's weights, and what is refused before anything is loaded.

`base.json` says where the weights are: in the same folder (`scratch`, `gguf`), in a folder of the profile's sources
(`folder`), or on the hub at a commit (`hub`); hub weights are never copied. Only safetensors are read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from relearn import hub
from relearn.errors import InputError

BASE_FILE = "base.json"
ADAPTER = "adapter"
OWN = ("scratch", "gguf")  # the kinds of base whose weights are beside base.json
WEIGHTS = ("*.safetensors",)
# Of a hub repository: never pickles or code.
FETCHED = ("*.json", *WEIGHTS, "*.model", "*.txt", "*.jinja")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")


def find_weights(folder: Path, root: Path) -> Path:
    """The folder that holds the weights of the base described by `folder`/base.json.

    A hub model is fetched at its commit into the hub's own cache, its files checked against the published hashes.
    `root` is what the path of a `folder` base is relative to. Raises InputError when the description is missing or
    broken, or the files cannot be had.
    """
    file = folder / BASE_FILE
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        kind = facts["kind"]
        if kind in OWN:
            return folder
        if kind == "folder":
            return root / str(facts["path"])
        repository, commit = str(facts["repository"]), str(facts["commit"])
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; run the base stage (dvc repro base)") from None
    except (json.JSONDecodeError, KeyError, TypeError):
        raise InputError(
            f"{file}: not a description of a base model; run the base stage again (dvc repro -f base)"
        ) from None
    fetched = hub.download(repository, commit, "model", FETCHED)
    if not any(any(fetched.glob(pattern)) for pattern in WEIGHTS):
        listed = hub.list_files(repository, commit, "model")
        pickles = [name for name in listed if name.endswith(tuple(pattern[1:] for pattern in PICKLES))]
        if pickles:
            raise InputError(
                f"hub model {repository} at {commit[:12]}: {pickles[0]} is a pickle, which can run code, and there are "
                "no safetensors; choose a revision or a repository that has them"
            )
    return fetched


def check_model_folder(folder: Path) -> None:
    """Refuses a model folder without sound config, tokenizer or safetensors weights, in one line each."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such model folder; name one in Hugging Face format")
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json; expected a folder in Hugging Face format")
    if not any(any(folder.glob(pattern)) for pattern in WEIGHTS):
        pickles = [path.name for pattern in PICKLES for path in sorted(folder.glob(pattern))]
        if pickles:
            raise InputError(
                f"{folder}: {pickles[0]} is a pickle, which can run code; convert the weights to safetensors"
            )
        raise InputError(f"{folder}: no weights (*.safetensors); expected a folder in Hugging Face format")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise InputError(f"{folder}: no tokenizer (tokenizer.json); expected a folder in Hugging Face format")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        _check_json(folder / name)
    read_stops(folder)
    for pattern in WEIGHTS:
        for file in sorted(folder.glob(pattern)):
            _check_weights(file)


def _check_json(file: Path) -> None:
    if file.is_file():
        read_json(file)


def read_json(file: Path) -> dict[str, Any]:
    """The object in a model's JSON file; InputError when it is not one."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not JSON ({error}); get the model's files again") from None
    if not isinstance(value, dict):
        raise InputError(f"{file}: not a JSON object; get the model's files again")
    return value


def read_stops(folder: Path) -> list[int]:
    """The tokens at which the model's own generation config ends an answer; its config's where it has none."""
    file = next(path for name in ("generation_config.json", "config.json") if (path := folder / name).is_file())
    found = read_json(file).get("eos_token_id")
    stops = found if isinstance(found, list) else [] if found is None else [found]
    if not all(type(token) is int for token in stops):
        raise InputError(f"{file}: eos_token_id holds no token numbers; write the number of the end token, or a list")
    return stops


def _check_weights(file: Path) -> None:
    """Reads the header, which says how long the file must be."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np"):
            pass
    except SafetensorError as error:
        raise InputError(f"{file}: not whole safetensors ({error}); get the model's files again") from None


def check_adapter(folder: Path) -> None:
    """Refuses an adapter folder without config or safetensors weights (PEFT would ask the hub, or load a pickle)."""
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: no adapter ({name}); run the stage that makes it (dvc repro)")
    _check_json(folder / "adapter_config.json")
    _check_weights(folder / "adapter_model.safetensors")
