"""The ten out-of-sample instructions: the three models' answers side by side, each checked by a program.

Run by `dvc repro`, or `python -m stages.probe_3b`. Never decodes: it reads data/predictions/.
"""

from __future__ import annotations

from typing import Any

from relearn.evaluation import probes, probing
from relearn.evaluation.checks import CheckSettings
from relearn.files import atomic_write, read_jsonl, write_json
from relearn.params import Params
from relearn.records import MODELS, Prediction
from relearn.sandbox.runner import ProgramLimits
from stages import paths
from stages.run import main


def work(params: Params) -> dict[str, Any]:
    """Writes metrics/probe_3b.json and report/probe_3b.md."""
    wanted = probes.read(paths.sources(params.profile) / "probes.yaml")
    predictions: dict[str, list[Prediction]] = {
        model: list(read_jsonl(paths.predictions(model), Prediction)) for model in MODELS
    }
    settings = CheckSettings(
        ngram=params.probe_3b.ngram,
        loop_share=params.probe_3b.loop_share,
        execute=params.eval_3a.execute,
        limits=ProgramLimits(params.eval_3a.timeout_s, params.eval_3a.memory_mb),
    )
    found = probing.probe_models(wanted, predictions, settings)
    write_json(paths.METRICS / "probe_3b.json", found)
    with atomic_write(paths.REPORT / "probe_3b.md") as file:
        file.write(probing.markdown(found))
    return {}


if __name__ == "__main__":
    main("probe_3b", work)
