"""Near-duplicate search: texts whose sets of word 3-grams overlap (Broder 1997; MinHash LSH by `datasketch`).

LSH proposes neighbours, tuned to miss few; each is then confirmed by the exact Jaccard similarity of the two
sets, so that what is reported is never an accident of hashing. Costs grow with the number of texts, not its
square. Words are compared without case and punctuation; a text of fewer than three words is one gram.
"""

from __future__ import annotations

import hashlib
import re

from datasketch import MinHash, MinHashLSH

GRAM = 3
SEED = 1
_WORD = re.compile(r"\w+")


def grams(text: str) -> set[bytes]:
    """Digests (8 bytes) of the word 3-grams of a text; empty only where the text holds no word."""
    words = _WORD.findall(text.casefold())
    size = min(GRAM, len(words))
    return {
        hashlib.blake2b(" ".join(words[at : at + size]).encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for at in range(len(words) - size + 1)
        if size
    }


def jaccard(first: set[bytes], second: set[bytes]) -> float:
    """|A ∩ B| / |A ∪ B|, and 1 for two empty sets."""
    both = len(first & second)
    total = len(first) + len(second) - both
    return both / total if total else 1.0


class Index:
    """Texts under labels (a label may hold several), and the search for those near a text.

    `threshold` is the Jaccard similarity, in (0, 1], from which two texts are near; `permutations` the number of
    hash functions of a signature.
    """

    def __init__(self, threshold: float, permutations: int = 128) -> None:
        self.threshold = threshold
        self.permutations = permutations
        # Four parts in five of the weight on false negatives: the exact check removes what is proposed wrongly.
        self._lsh = MinHashLSH(threshold=min(threshold, 0.99), num_perm=permutations, weights=(0.2, 0.8))
        self._rows: list[tuple[str, bytes]] = []
        self._empty: list[int] = []

    def __len__(self) -> int:
        return len(self._rows)

    def _signature(self, found: set[bytes]) -> MinHash:
        signature = MinHash(num_perm=self.permutations, seed=SEED)
        signature.update_batch(sorted(found))
        return signature

    def near(self, text: str) -> list[str]:
        """Labels of the texts at or above the threshold, each once, in the order they were added."""
        found = grams(text)
        rows = self._empty if not found else sorted(self._lsh.query(self._signature(found)))
        labels: dict[str, None] = {}
        for row in rows:
            label, packed = self._rows[row]
            if label not in labels and jaccard(found, _unpack(packed)) >= self.threshold:
                labels[label] = None
        return list(labels)

    def add(self, label: str, text: str) -> None:
        """Puts a text into the index."""
        found = grams(text)
        row = len(self._rows)
        self._rows.append((label, b"".join(sorted(found))))
        if found:
            self._lsh.insert(row, self._signature(found))
        else:
            self._empty.append(row)


def _unpack(packed: bytes) -> set[bytes]:
    return {packed[at : at + 8] for at in range(0, len(packed), 8)}
