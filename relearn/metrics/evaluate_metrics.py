"""The metrics as `evaluate.Metric` classes, joined by `evaluate.combine`.

Each keeps the per-item scores of its last `compute` in `scores` (the bootstrap needs them) and says in `signature`
what made them: library, version, tokenizer, options, the encoder's hash. Nothing is downloaded: the classes are
here, not on the hub.
"""

from __future__ import annotations

import functools
import importlib.metadata
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import datasets
import evaluate

from relearn.metrics import text
from relearn.metrics.bertscore import Encoder, bertscore
from relearn.metrics.code.find import holds_code
from relearn.metrics.codebleu import codebleu
from relearn.metrics.likelihood import bits_per_byte
from relearn.metrics.passing import passes
from relearn.metrics.stance import stance
from relearn.params.groups import Eval3a
from relearn.statistics.scores import Direction, Scores, mean

FEATURES = {
    "predictions": datasets.Value("string"),
    "references": datasets.Value("string"),
    "prompts": datasets.Value("string"),
    "tests": datasets.List(datasets.Value("string")),
    "nll": datasets.Value("float64"),
    "bytes": datasets.Value("int64"),
}


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    """evaluate makes a folder for each metric even when it keeps everything in memory; removed at exit."""
    return tempfile.TemporaryDirectory(prefix="relearn-evaluate-")


class ItemMetric(evaluate.Metric):  # type: ignore[misc]
    """A metric that knows the score of every item. `columns` are the inputs it takes, of `FEATURES`."""

    columns: ClassVar[tuple[str, ...]] = ("predictions", "references")
    # Takes the columns by name, lists over the items; returns one `Scores` a named value.
    score: Callable[..., list[Scores]]
    library: ClassVar[str | None] = None
    paper: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__(keep_in_memory=True, cache_dir=_scratch().name, seed=0)
        self.scores: list[Scores] = []
        self.counts: dict[str, float] = {}

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=(type(self).__doc__ or "").strip(),
            citation=self.paper,
            inputs_description=f"Columns: {', '.join(self.columns)}; one row an item.",
            features=datasets.Features({name: FEATURES[name] for name in self.columns}),
        )

    def _compute(self, **columns: Any) -> dict[str, float]:
        self.scores = self.score(**{name: list(columns[name]) for name in self.columns})
        return {scores.name: scores.point for scores in self.scores}

    def options(self) -> dict[str, Any]:
        return {}

    @property
    def signature(self) -> dict[str, Any]:
        """What made the scores."""
        made: dict[str, Any] = {"metric": self.name}
        if self.library is not None:
            made |= {"library": self.library, "version": importlib.metadata.version(self.library)}
        return made | self.options()


class Bleu(ItemMetric):
    """Corpus BLEU-4 by sacrebleu, from 0 to 1."""

    library = "sacrebleu"
    paper = "Papineni et al. 2002; Post 2018"

    def score(self, predictions: list[str], references: list[str]) -> list[Scores]:
        return [text.bleu(predictions, references)]

    def options(self) -> dict[str, Any]:
        return {"signature": text.bleu_signature(), "scale": "0 to 1"}


class Chrf(ItemMetric):
    """Corpus chrF2 by sacrebleu, from 0 to 1."""

    library = "sacrebleu"
    paper = "Popović 2015"

    def score(self, predictions: list[str], references: list[str]) -> list[Scores]:
        return [text.chrf(predictions, references)]

    def options(self) -> dict[str, Any]:
        return {"signature": text.chrf_signature(), "scale": "0 to 1"}


class RougeL(ItemMetric):
    """ROUGE-L F1 by rouge-score, the mean over items."""

    library = "rouge-score"
    paper = "Lin 2004"

    def __init__(self, stemmer: bool) -> None:
        self.stemmer = stemmer
        super().__init__()

    def score(self, predictions: list[str], references: list[str]) -> list[Scores]:
        return [text.rouge_l(predictions, references, self.stemmer)]

    def options(self) -> dict[str, Any]:
        return {
            "stemmer": "porter" if self.stemmer else "none",
            "tokenizer": "[a-z0-9]+",
            "aggregate": "mean",
        }


class BertScore(ItemMetric):
    """BERTScore F1, the mean over items; no idf, no rescaling."""

    library = "transformers"
    paper = "Zhang et al. 2020"

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        super().__init__()

    def score(self, predictions: list[str], references: list[str]) -> list[Scores]:
        return [bertscore(predictions, references, self.encoder)]

    def options(self) -> dict[str, Any]:
        return {**self.encoder.signature, "idf": False, "rescaled": False, "aggregate": "mean"}


class CodeBleuMetric(ItemMetric):
    """CodeBLEU and its four parts, the mean over items; an item without code scores 0."""

    columns = ("predictions", "references", "prompts")
    library = "codebleu"
    paper = "Ren et al. 2020"

    def score(self, predictions: list[str], references: list[str], prompts: list[str]) -> list[Scores]:
        found = codebleu(predictions, references, prompts)
        self.counts = {**found.counts, "empty_output_baseline": found.empty_baseline}
        return [found.overall, *found.parts]

    def options(self) -> dict[str, Any]:
        return {
            "language": "python",
            "weights": [0.25, 0.25, 0.25, 0.25],
            "weights_without_dataflow": [1 / 3, 1 / 3, 1 / 3, 0],
            "tree_sitter": importlib.metadata.version("tree-sitter"),
            "tree_sitter_python": importlib.metadata.version("tree-sitter-python"),
            "aggregate": "mean",
        }


class CodeRate(ItemMetric):
    """The share of predictions that hold code, as a reader would call it. `better`: what more of it means on the task."""

    columns = ("predictions", "prompts")

    def __init__(self, better: Direction = "higher") -> None:
        self.better = better
        super().__init__()

    def score(self, predictions: list[str], prompts: list[str]) -> list[Scores]:
        hits = [holds_code(p, q) for p, q in zip(predictions, prompts, strict=True)]
        return [mean("code_rate", hits, proportion=True, better=self.better)]


class ExactMatch(ItemMetric):
    """The share of predictions equal to the reference, but for spaces at line ends and outer blank lines."""

    def score(self, predictions: list[str], references: list[str]) -> list[Scores]:
        return [text.exact_match(predictions, references)]


class Stance(ItemMetric):
    """The share of replies that take the side the instruction asks for."""

    columns = ("predictions", "prompts", "references")

    def score(
        self, predictions: list[str], prompts: list[str], references: Sequence[str | None]
    ) -> list[Scores]:
        return stance(predictions, prompts, references)

    def options(self) -> dict[str, Any]:
        return {"reading": "phrases of agreement and disagreement, the first one decides"}


class BitsPerByte(ItemMetric):
    """Bits per byte of the references, pooled; lower is better."""

    columns = ("nll", "bytes")

    def score(self, nll: list[float | None], bytes: list[int | None]) -> list[Scores]:
        return [bits_per_byte(nll, bytes)]

    def options(self) -> dict[str, Any]:
        return {"unit": "bits a UTF-8 byte of the reference, end token included"}


class PassAt1(ItemMetric):
    """The share of predictions whose code passes the tests, run in the sandbox."""

    columns = ("predictions", "prompts", "tests")
    paper = "Chen et al. 2021"

    def __init__(self, params: Eval3a) -> None:
        self.params = params
        super().__init__()

    def score(self, predictions: list[str], prompts: list[str], tests: list[list[str]]) -> list[Scores]:
        return [passes(predictions, prompts, tests, self.params)]

    def options(self) -> dict[str, Any]:
        return {
            "samples": 1,
            "execute": self.params.execute,
            "timeout_s": self.params.timeout_s,
            "memory_mb": self.params.memory_mb,
        }
