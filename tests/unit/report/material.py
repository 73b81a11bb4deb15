"""A small run as the page takes it, and predictions as the rating page takes them."""

from __future__ import annotations

from typing import Any

from relearn.records import Prediction, Quarantined
from relearn.report.page import Material
from tests.unit.report import made

HOSTILE = (
    "<script>window.pwned = 1</script></pre></script></style><style>body { display: none }</style>"
    '<img src="data:image/png;base64,AAAA" onerror="window.pwned = 2"><a href="data:text/html,x">x</a>'
    '\u202egnihton yas\u202c \u2066isolated <!-- {{ 7 * 7 }} \x07 \ud800 שלום " onclick="window.pwned = 3"'
)


def rows(intervals: dict[str, Any]) -> list[dict[str, Any]]:
    """The 3a table's rows for the intervals."""
    return [
        {"model": model, "task": task, "metric": metric, **score, "mark": "" if model == "base" else "▼"}
        for task, found in intervals["tasks"].items()
        for metric, scores in found["scores"].items()
        for model, score in scores.items()
    ]


def material(hostile: bool = False, **changes: Any) -> Material:
    """Everything the page shows; with `hostile`, every text a model wrote is an attack."""
    intervals = made.intervals()
    text = HOSTILE if hostile else "The sea is cold. The sea is cold. The sea is cold."
    wide = {"reason": "ship*/sea/seas/" * 30} if hostile else {}  # longer than a line, without a space
    answers = tuple(made.answer(text, model == "base", loop=True, repeated_share=0.8, **wide) for model in made.MODELS)
    probes = made.probes(
        poem=answers,
        song=(made.answer("la"), made.answer("la"), made.answer("la")),
        scene=(made.answer("INT."), made.answer("no", False, 0.0), made.answer("INT.")),
    )
    curve: list[dict[str, float | None]] = [
        {"step": 0.0, "train": None, "code": 0.1, "reviews": 3.0, "general": 0.2},
        {"step": 50.0, "train": 0.4, "code": 1.5, "reviews": 0.5, "general": 2.0},
    ]
    values: dict[str, Any] = {
        "words": made.WORDS,
        "intervals": intervals,
        "rows": rows(intervals),
        "probes": probes,
        "ngram": 4,
        "losses": {"2b": curve, "2c": curve},
        "repair": {
            "counts": {"rows": 10, "rows_kept": 8, "replies": 5}, "flags": {"fence": 2}, "reasons": {"cut_off": 2},
        },
        "generate": {"replies": 5, "cost_usd": 0.25, "finish_reasons": {"stop": 5}},
        "mended": [("fence", text, "agree", text)],
        "refused": [
            Quarantined(id=f"review-{number}", task="reviews", row="agree", field="agree", reason=reason, content=content)
            for number, (reason, content) in enumerate([("cut_off", text), ("empty", "\n")], 2)
        ],
        "as_sent": 6,
        "facts": {"Models": [("base.kind", '"scratch"'), ("2b (SHA-256)", "0" * 64)]},
    }  # fmt: skip
    return Material(**(values | changes))


def predictions(hostile: bool = False) -> dict[str, list[Prediction]]:
    """Twelve prompts of each task under each model."""
    return {
        model: [
            Prediction(
                id=f"{task}-{number}",
                task=task,
                group=str(number),
                prompt=HOSTILE if hostile else f"Do {number} of {task}.",
                reference="x",
                prediction=f"answer {number * place}, as {'a' if number else 'no'} writer {place if number else 0} writes it"
                + (HOSTILE if hostile else ""),
                finish_reason="stop",
                nll=1.0,
                bytes=1,
            )
            for task in ("code", "reviews", "general")
            for number in range(12)
        ]
        for place, model in enumerate(made.MODELS)
    }
