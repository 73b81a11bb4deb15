"""CodeBLEU (Ren et al. 2020) an item at a time, from the parts of the `codebleu` library, with its known faults fixed.

What differs from `codebleu.calc_codebleu` 0.7.0, and why:

- a reference without data flow: the library lets any output earn that quarter in full (its score of an empty text
  is 0.25); here the other three weights are scaled up to 1;
- a reference shorter than four tokens: n-grams that it cannot have are left out, so that an equal prediction
  scores 1;
- an answer without code scores 0 on every component, and stays in the mean;
- parents of a variable are put in order: the library keeps them in sets of strings, whose order changes from one
  process to the next.
"""

from __future__ import annotations

import functools
import importlib.metadata
import math
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from relearn.metrics.code.find import find_code
from relearn.metrics.code.trees import parse
from relearn.metrics.metric import Measured, Metric
from relearn.statistics.scores import Scores, mean

PARTS = ("ngram", "weighted_ngram", "syntax", "dataflow")
MAX_CODE = 20_000


def codebleu(predictions: Sequence[str], references: Sequence[str], prompts: Sequence[str] = ()) -> Measured:
    """Mean CodeBLEU over items for Python, equal weights of the four parts; then each part.

    Code is taken out of both sides with `find_code` (a prompt that a prediction echoes is taken out of it). A
    reference that holds no code cannot be scored against: it is left out, and counted.
    """
    return METRIC.join([measure_items(predictions, references, prompts or [""] * len(references))])


def measure_items(predictions: Sequence[str], references: Sequence[str], prompts: Sequence[str]) -> Measured:
    """`codebleu` of some of the items."""
    rows: list[dict[str, float] | None] = []
    unparseable = without_code = without_flow = foreign = 0
    empty: list[tuple[int, int]] = []
    for prediction, reference, prompt in zip(predictions, references, prompts, strict=True):
        wanted = reference_code(reference)
        if wanted is None:
            rows.append(None)
            continue
        echo = prompt if prompt.strip() not in reference else None
        code = reference_code(prediction) if prediction == reference else find_code(prediction, echo)
        flow = bool(_dataflow(wanted))
        without_flow += not flow
        foreign += parse(wanted) is None
        empty.append(match_empty(wanted))
        if code is None:
            without_code += 1
            rows.append(dict.fromkeys(PARTS, 0.0) | {"all": 0.0, "flow": float(flow)})
            continue
        unparseable += parse(code) is None
        rows.append(item(code, wanted))

    def over_items(name: str, part: str) -> Scores:
        left_out = part == "dataflow"  # where the reference has none
        values = [None if row is None or (left_out and not row["flow"]) else row[part] for row in rows]
        return mean(name, values)

    return Measured(
        [over_items("codebleu", "all"), *(over_items(f"codebleu_{part}", part) for part in PARTS)],
        {
            "unparseable": unparseable,
            "without_code": without_code,
            "references_without_code": len(rows) - len(empty),
            "references_without_dataflow": without_flow,
        },
        tallies={
            "foreign": foreign,
            "references": len(empty),
            "empty_hits": sum(hits for hits, _ in empty),
            "subtrees": sum(trees for _, trees in empty),
        },
    )


def _conclude(measured: Measured) -> Measured:
    """What the plain library would give empty outputs, and a note where most references are not Python."""
    tallies, notes = measured.tallies, []
    foreign, references = tallies["foreign"], tallies["references"]
    if 2 * foreign > references:
        notes.append(
            f"CodeBLEU reads Python, which {foreign} of {references} references are not: their scores are noise"
        )
    # `codebleu.calc_codebleu` gives an empty output no n-gram, the subtrees that it has, and all of the data flow. A
    # model's plain CodeBLEU below this says nothing about its code.
    baseline = 0.25 * (tallies["empty_hits"] / tallies["subtrees"]) + 0.25 if references else math.nan
    return replace(measured, counts={**measured.counts, "empty_output_baseline": baseline}, notes=notes)


@functools.lru_cache(maxsize=1_000)
def reference_code(reference: str) -> str | None:
    """The code of a reference: what `find_code` finds, else the whole text where it is Python as it is."""
    found = find_code(reference)
    if found is None and reference.strip() and parse(reference) is not None:
        return reference
    return found


def item(code: str, wanted: str) -> dict[str, float]:
    """The four parts of one pair, `all` (their weighted mean) and `flow` (1 where the reference has data flow)."""
    bleu: Any = import_module("codebleu.bleu")
    weighted_ngram_match: Any = import_module("codebleu.weighted_ngram_match")

    code, wanted = code.strip()[:MAX_CODE], wanted.strip()[:MAX_CODE]
    tokens, target = code.split(), wanted.split()
    orders = min(4, len(target))
    weights = (1 / orders,) * orders
    keywords = _keywords()
    # Five and one rather than 1 and 0.2: the same ratio, out of reach of the library's max(1, sum of weights).
    weighted = [[target, {token: 5 if token in keywords else 1 for token in target}]]
    values = {
        "ngram": float(bleu.corpus_bleu([[target]], [tokens], weights=weights)),
        "weighted_ngram": float(weighted_ngram_match.corpus_bleu([weighted], [tokens], weights=weights)),
        "syntax": _syntax_match(code, wanted),
    }
    if len(tokens) == len(target) == 1:
        values["weighted_ngram"] *= math.e  # the library takes every reference for two tokens long: its penalty
    flow = _dataflow(wanted)
    values["dataflow"] = _flow_match(code, wanted) if flow else 0.0
    used = PARTS if flow else PARTS[:3]
    values["all"] = sum(values[part] for part in used) / len(used)
    values["flow"] = float(bool(flow))
    return values


def match_empty(wanted: str) -> tuple[int, int]:
    """Of a reference's subtrees those that an empty program has too, and how many there are."""
    trees = _subtrees(wanted.strip()[:MAX_CODE])
    return sum(tree in _subtrees("") for tree in trees), len(trees)


@functools.cache
def _keywords() -> frozenset[str]:
    import codebleu as library

    path = Path(library.__file__).parent / "keywords" / "python.txt"
    return frozenset(line.strip() for line in path.read_text(encoding="utf-8").splitlines())


@functools.cache
def _parser() -> Any:
    from codebleu.utils import get_tree_sitter_language
    from tree_sitter import Parser

    parser = Parser()
    parser.language = get_tree_sitter_language("python")
    return parser


@functools.lru_cache(maxsize=1_000)
def _bare(code: str) -> str:
    """The code without comments and docstrings, or as it is where the library's tokenizer gives up."""
    library: Any = import_module("codebleu.parser")
    try:
        return str(library.remove_comments_and_docstrings(code, "python"))
    except Exception:  # noqa: BLE001 - the library's own rule; tokenize raises many kinds on broken code
        return code


@functools.lru_cache(maxsize=1_000)
def _subtrees(code: str) -> tuple[str, ...]:
    """The s-expression of every inner node of the syntax tree."""
    found, stack = [], [_parser().parse(_bare(code).encode("utf-8", "replace")).root_node]
    while stack:
        node = stack.pop()
        found.append(str(node))
        stack.extend(child for child in node.children if child.children)
    return tuple(found)


def _syntax_match(code: str, wanted: str) -> float:
    have, need = set(_subtrees(code)), _subtrees(wanted)
    return sum(tree in have for tree in need) / len(need)


@functools.lru_cache(maxsize=1_000)
def _dataflow(code: str) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """The normalised data flow: (variable, relation, its sources), variables numbered as they appear."""
    library: Any = import_module("codebleu.dataflow_match")
    flow = library.get_data_flow(_bare(code), [_parser(), library.DFG_python])
    first: dict[str, int] = {}
    for name, index, *_ in flow:
        first[name] = min(index, first.get(name, index))
    ordered = [
        (name, index, relation, sorted(parents, key=lambda p: (first.get(p, math.inf), p)), indices)
        for name, index, relation, parents, indices in flow
    ]
    return tuple((name, relation, tuple(parents)) for name, relation, parents in library.normalize_dataflow(ordered))


def _flow_match(code: str, wanted: str) -> float:
    left, need = list(_dataflow(code)), _dataflow(wanted)
    hits = 0
    for edge in need:
        if edge in left:
            hits += 1
            left.remove(edge)
    return hits / len(need)


def _describe() -> dict[str, Any]:
    return {
        "language": "python",
        "weights": [0.25, 0.25, 0.25, 0.25],
        "weights_without_dataflow": [1 / 3, 1 / 3, 1 / 3, 0],
        "tree_sitter": importlib.metadata.version("tree-sitter"),
        "tree_sitter_python": importlib.metadata.version("tree-sitter-python"),
        "aggregate": "mean",
    }


METRIC = Metric(
    name="codebleu",
    label="CodeBLEU",
    signed="code_bleu_metric",
    score=measure_items,
    conclude=_conclude,
    apart=True,
    reads=("predictions", "references", "prompts"),
    library="codebleu",
    paper="Ren et al. 2020",
    describe=_describe,
)
