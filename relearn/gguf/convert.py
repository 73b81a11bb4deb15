"""A GGUF file as a folder in Hugging Face format: fp32 safetensors, tokenizer, chat template, generation config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from relearn.errors import InputError
from relearn.gguf.header import Header, read_header

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# llama.cpp cuts text at each digit for these vocabularies (llama-vocab.cpp); transformers 5.23 does not.
DIGITS_ALONE = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone")


def convert(path: Path, folder: Path) -> Header:
    """Writes the model of a GGUF file into `folder`, its weights dequantised to fp32; returns the file's header.

    The numbers are those of the gguf package's own dequantisation. Raises InputError for a file that `read_header`
    refuses, an architecture that transformers does not read from GGUF, or tensors that are not the model's.
    """
    header = read_header(path)
    model, tokenizer = _load(path, header)
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"{path}: names no end token (tokenizer.ggml.eos_token_id), so no answer would ever end; name a file that does"
        )
    if header.metadata.get("tokenizer.ggml.pre") in DIGITS_ALONE:
        from tokenizers import pre_tokenizers

        found: Any = tokenizer
        found.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return header


def read_config(path: Path) -> Any:
    """The configuration of a GGUF file's model, in transformers' form; no weight is read. InputError as `convert`."""
    from transformers import AutoConfig

    header = read_header(path)
    try:
        return AutoConfig.from_pretrained(str(path.parent), gguf_file=path.name)
    except Exception as error:  # what transformers raises over a foreign file is of any type
        raise _fault(path, header, error) from error


def _fault(path: Path, header: Header, error: Exception) -> InputError:
    reason = str(error).strip().split("\n")[0]
    return InputError(
        f"{path}: transformers cannot read it (architecture {header.architecture}: {reason}); "
        "name a model whose architecture it reads from GGUF"
    )


def _load(path: Path, header: Header) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place: dict[str, Any] = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    try:
        config = read_config(path)
        with torch.device("meta"):  # costs no memory, whatever the metadata says
            empty = AutoModelForCausalLM.from_config(config)
        described = sum(weight.numel() for weight in empty.parameters())
        if described > header.elements:
            raise InputError(
                f"{path}: its metadata describe {described:,} weights, its tensors hold {header.elements:,}; "
                "get the file again"
            )
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            **place, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True
        )
        model, facts = loaded
        # said here, since the tokenizer's file records it, and offline it is so by itself
        tokenizer = AutoTokenizer.from_pretrained(**place, local_files_only=True)
    except InputError:
        raise
    except Exception as error:  # what transformers, numpy and tokenizers raise over a foreign file is of any type
        raise _fault(path, header, error) from error
    for fault in ("missing_keys", "mismatched_keys"):
        if facts[fault]:
            names = sorted(name if isinstance(name, str) else name[0] for name in facts[fault])
            what = "lacks" if fault == "missing_keys" else "has in another shape"
            raise InputError(
                f"{path}: {what} {len(names)} of the model's weights, such as {names[0]}; get the file again"
            )
    # Saving a model that was loaded from GGUF is refused; the same weights in a fresh one are not.
    config = model.config
    del config.quantization_config
    config.name_or_path = ""
    with torch.device("meta"):
        fresh = type(model)(config)
    fresh.load_state_dict(model.state_dict(), assign=True)
    fresh.tie_weights()
    return fresh, tokenizer
