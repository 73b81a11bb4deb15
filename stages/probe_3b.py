"""The ten out-of-sample instructions: the models' answers side by side, each checked by a program.

Run by `dvc repro`, or `python -m stages.probe_3b`. Never decodes: it reads data/predictions/.
"""

from __future__ import annotations

from typing import Any

from relearn.evaluation import probes, probing
from relearn.evaluation.checks import CheckSettings
from relearn.files import read_jsonl, write_json, write_text
from relearn.params import Params
from relearn.records import Prediction
from relearn.sandbox.runner import ProgramLimits
from stages.paths import Paths
from stages.roles import name_models
from stages.run import main


def work(params: Params, paths: Paths) -> dict[str, Any]:
    """Writes metrics/probe_3b.json and report/probe_3b.md."""
    wanted = probes.read(paths.probes(params.profile))
    predictions: dict[str, list[Prediction]] = {
        model: list(read_jsonl(paths.predicted(model), Prediction)) for model in name_models(params, paths).names
    }
    settings = CheckSettings(
        ngram=params.probe_3b.ngram,
        loop_share=params.probe_3b.loop_share,
        execute=params.sandbox.execute,
        limits=ProgramLimits(params.sandbox.timeout_s, params.sandbox.memory_mb),
    )
    found = probing.probe_models(wanted, predictions, settings)
    write_json(paths.metrics / "probe_3b.json", found)
    write_text(paths.report / "probe_3b.md", probing.markdown(found))
    return {}


if __name__ == "__main__":
    main("probe_3b", work)
