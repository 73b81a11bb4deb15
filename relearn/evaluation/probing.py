"""The 3b report: every probe, the models side by side, each answer checked and described."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tabulate import tabulate

from relearn.errors import InputError
from relearn.escaping import fenced, inline, quoted
from relearn.evaluation.checks import CheckSettings, check_answer
from relearn.evaluation.probes import Probe
from relearn.evaluation.repetition import measure_repetition, similarity
from relearn.metrics.code.find import holds_code
from relearn.reasoning import take_off_reasoning
from relearn.records import Prediction


def probe_models(
    probes: Sequence[Probe], predictions: Mapping[str, Sequence[Prediction]], settings: CheckSettings
) -> dict[str, Any]:
    """`{"passed": {model: count}, "probes": [{id, kind, instruction, models: {model: …}}]}`, plain values.

    For each answer: the text, whether it passes its check and if not why, loop, repeated share, prompt echo,
    distinct-1 and -2, length, whether its end was reached, code, bits per byte where a reference gave one, and its
    similarity to the first model's answer. InputError when a model did not answer a probe, or answered another
    instruction under its id.
    """
    first = next(iter(predictions))
    answers = {model: {row.id: row for row in rows if row.task == "probe"} for model, rows in predictions.items()}
    found: list[dict[str, Any]] = []
    for probe in probes:
        models = {}
        for model in predictions:
            row = answers[model].get(probe.id)
            if row is None or row.prompt != probe.instruction:
                what = "was not answered" if row is None else "has another instruction than the one answered"
                raise InputError(f"probe {probe.id} {what} by {model}; run predict again")
            models[model] = _describe(probe, row, answers[first][probe.id].prediction, settings)
        found.append({"id": probe.id, "kind": probe.kind, "instruction": probe.instruction, "models": models})
    passed = {model: sum(probe["models"][model]["passed"] for probe in found) for model in predictions}
    return {"number": len(found), "passed": passed, "probes": found}


def _describe(probe: Probe, row: Prediction, original: str, settings: CheckSettings) -> dict[str, Any]:
    answer, _ = take_off_reasoning(row.prediction)
    outcome = check_answer(probe.check, answer, settings)
    bits = row.nll / math.log(2) / row.bytes if row.nll is not None and row.bytes else None
    return {
        "output": row.prediction,
        "passed": outcome.passed,
        "reason": outcome.reason,
        **asdict(measure_repetition(row.prompt, row.prediction, settings.ngram, settings.loop_share)),
        "end_reached": row.finish_reason == "stop",
        "code": holds_code(row.prediction, row.prompt),
        "bpb": None if bits is None else round(bits, 4),
        "similarity_to_base": round(similarity(original, row.prediction), 4),
    }


def markdown(found: Mapping[str, Any]) -> str:
    """The outcome of every probe in one table, then the outputs side by side."""
    models = list(found["passed"])
    marks = [[inline(probe["id"]), *(_mark(probe["models"][model]) for model in models)] for probe in found["probes"]]
    total = ["**passed**", *(f"**{found['passed'][model]} of {found['number']}**" for model in models)]
    parts = [tabulate([*marks, total], ["probe", *models], tablefmt="github", disable_numparse=True), ""]
    for probe in found["probes"]:
        parts += [f"### {inline(probe['id'])}", "", quoted(probe["instruction"]), ""]
        for model in models:
            answer = probe["models"][model]
            parts += [f"**{model}** ({_mark(answer)})", "", fenced(answer["output"]), ""]
    return "\n".join(parts)


def _mark(answer: Mapping[str, Any]) -> str:
    # a reason may hold what a program that a model wrote has raised
    return "✓" if answer["passed"] else f"✗ {inline(answer['reason'])}"
