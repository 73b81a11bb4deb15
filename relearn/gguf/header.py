"""What a GGUF file says of itself, checked before anything else reads the file.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Readers made for sound files take lengths at
their word, and loop for ever or ask for more memory than there is where a length is wrong. Here each length is held
against the end of the file, and each tensor's place too.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relearn.errors import InputError

VERSIONS = (2, 3)
# The numbers of the format's types of value, as `struct` writes them.
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
ALIGNMENT = 32  # where the file names none
MOST_DIMENSIONS = 4
MOST_SIZE = 1 << 24  # of a width, a count of heads, a context: each is a buffer or a loop somewhere
NEEDED = ("block_count", "embedding_length", "attention.head_count")  # what transformers would otherwise guess
AGAIN = "get the file again"


@dataclass(frozen=True)
class TensorPlace:
    """A tensor of the file: its dimensions, the fastest first, its type, and where its bytes begin."""

    name: str
    dimensions: tuple[int, ...]
    kind: int
    offset: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.dimensions)


@dataclass(frozen=True)
class Header:
    """The metadata, arrays of strings and numbers as lists, and the tensors."""

    metadata: dict[str, Any]
    tensors: tuple[TensorPlace, ...]

    @property
    def architecture(self) -> str:
        """What llama.cpp calls the kind of model."""
        return str(self.metadata["general.architecture"])

    @property
    def elements(self) -> int:
        """How many weights the file holds."""
        return sum(tensor.elements for tensor in self.tensors)


def read_header(path: Path) -> Header:
    """The header of a GGUF file that holds one whole model with its tokenizer.

    Raises InputError for a file that is not GGUF, is cut off or garbled, is a part of one or no model, has no
    tokenizer, or holds more weights than this machine has memory for, in fp32.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected a GGUF file")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size < 24:
        raise InputError(f"{path}: not a GGUF file ({path.stat().st_size} bytes); name a file of llama.cpp's format")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        header = _Reader(path, data).read()
    _check_model(path, header)
    _check_memory(path, header)
    return header


class _Reader:
    """Walks through the header; every step is checked against the end of the file."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.at = path, data, 0

    def read(self) -> Header:
        if self.data[:4] != b"GGUF":
            raise self._fault(f"not a GGUF file (it begins with {self.data[:4]!r}); name a file of llama.cpp's format")
        self.at = 4
        version = self._number("I")
        if version not in VERSIONS:
            told = "big-endian" if version & 0xFFFF == 0 else f"version {version}"
            raise self._fault(f"GGUF, but {told}; little-endian files of version 2 or 3 are read: convert it again")
        tensors, values = self._number("Q"), self._number("Q")
        # so many bytes a tensor and a value has at least; a wrong number shows before it is counted up to
        if tensors * 24 + values * 13 > len(self.data):
            raise self._cut("metadata")
        metadata: dict[str, Any] = {}
        for _ in range(values):
            name = self._string()
            if name in metadata:
                raise self._fault(f"{name} is there twice; {AGAIN}")
            metadata[name] = self._value(self._number("I"))
        places = [self._tensor() for _ in range(tensors)]
        self._check_places(metadata, places)
        return Header(metadata, tuple(places))

    def _fault(self, what: str) -> InputError:
        return InputError(f"{self.path}: {what}")

    def _cut(self, where: str) -> InputError:
        return self._fault(f"cut off or garbled in its {where} ({len(self.data)} bytes); {AGAIN}")

    def _take(self, size: int) -> int:
        start, self.at = self.at, self.at + size
        if self.at > len(self.data):
            raise self._cut("metadata")
        return start

    def _number(self, code: str) -> Any:
        (found,) = struct.unpack_from(f"<{code}", self.data, self._take(struct.calcsize(f"<{code}")))
        return found

    def _string(self) -> str:
        size = self._number("Q")
        start = self._take(size)
        try:
            return self.data[start : start + size].decode()
        except UnicodeDecodeError:
            raise self._fault(f"text at byte {start} is not UTF-8; {AGAIN}") from None

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self._string()
        if kind in SCALARS:
            return self._number(SCALARS[kind])
        if kind != ARRAY:
            raise self._fault(f"a value of unknown type {kind} at byte {self.at}; {AGAIN}")
        of, count = self._number("I"), self._number("Q")
        if of in SCALARS:
            start = self._take(count * struct.calcsize(f"<{SCALARS[of]}"))
            return list(struct.unpack_from(f"<{count}{SCALARS[of]}", self.data, start))
        if of != STRING:
            raise self._fault(f"a list of type {of} at byte {self.at}, which no model needs; {AGAIN}")
        if count * 8 > len(self.data):
            raise self._cut("metadata")
        return [self._string() for _ in range(count)]

    def _tensor(self) -> TensorPlace:
        name, count = self._string(), self._number("I")
        if not 1 <= count <= MOST_DIMENSIONS:
            raise self._fault(f"tensor {name} has {count} dimensions; {AGAIN}")
        dimensions = tuple(self._number("Q") for _ in range(count))
        return TensorPlace(name, dimensions, self._number("I"), self._number("Q"))

    def _check_places(self, metadata: dict[str, Any], places: list[TensorPlace]) -> None:
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

        alignment = metadata.get("general.alignment", ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise self._fault(f"general.alignment is {alignment!r}, not a power of two; {AGAIN}")
        start = -(-self.at // alignment) * alignment
        sizes = {int(kind): size for kind, size in GGML_QUANT_SIZES.items()}
        seen: set[str] = set()
        for place in places:
            if place.name in seen:
                raise self._fault(f"tensor {place.name} is there twice; {AGAIN}")
            seen.add(place.name)
            if place.kind not in sizes:
                raise self._fault(f"tensor {place.name} is of unknown type {place.kind}; {AGAIN}")
            block, width = sizes[place.kind]
            if place.elements == 0 or place.dimensions[0] % block:
                shape = "×".join(map(str, place.dimensions))
                kind = GGMLQuantizationType(place.kind).name
                raise self._fault(f"tensor {place.name} of shape {shape} cannot be {kind}; {AGAIN}")
            end = start + place.offset + place.elements // block * width
            if end > len(self.data):
                raise self._fault(f"tensor {place.name} ends at byte {end}, the file at {len(self.data)}; {AGAIN}")


def _check_model(path: Path, header: Header) -> None:
    """Refuses GGUF that is not one whole language model."""
    metadata = header.metadata
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise InputError(f"{path}: does not name its architecture (general.architecture); {AGAIN}")
    kind = metadata.get("general.type", "model")
    if kind != "model":
        raise InputError(f"{path}: holds {kind!r}, not a model; name the file of the whole model")
    parts = metadata.get("split.count", 1)
    if parts not in (0, 1):
        raise InputError(f"{path}: is one of {parts} parts; join them first (llama-gguf-split --merge)")
    for name in NEEDED:
        if not isinstance(metadata.get(f"{architecture}.{name}"), int | list):  # a list has a number for each block
            raise InputError(f"{path}: {architecture}.{name} is missing or not a number; {AGAIN}")
    for name, value in metadata.items():
        if name.startswith(f"{architecture}.") and isinstance(value, int) and not 0 <= value <= MOST_SIZE:
            raise InputError(f"{path}: {name} is {value}, more than any model has ({MOST_SIZE}); {AGAIN}")
    blocks = metadata[f"{architecture}.block_count"]
    if not isinstance(blocks, int) or blocks > len(header.tensors):
        raise InputError(f"{path}: {blocks} blocks of {len(header.tensors)} tensors; {AGAIN}")
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens or "tokenizer.ggml.model" not in metadata:
        raise InputError(f"{path}: no tokenizer (tokenizer.ggml.tokens); name a file that holds one")
    for name in ("bos", "eos", "unknown", "padding"):
        number = metadata.get(f"tokenizer.ggml.{name}_token_id", 0)
        if not isinstance(number, int) or not 0 <= number < len(tokens):
            raise InputError(f"{path}: tokenizer.ggml.{name}_token_id is {number}, of {len(tokens)} tokens; {AGAIN}")


def _check_memory(path: Path, header: Header) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = 4 * header.elements
    if needed > memory:
        raise InputError(
            f"{path}: {header.elements:,} weights are {needed / 1e9:.0f} GB in fp32, and this machine has "
            f"{memory / 1e9:.0f} GB of memory; name a smaller model"
        )
