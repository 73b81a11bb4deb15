"""From a path that a user names to the runs in it: which tool wrote what, told by names and first lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from relearn.errors import InputError
from relearn.logs import bounds, every_eval_ever, inspect, lighteval, lm_eval, plain
from relearn.logs.records import Run

KNOWN = (
    "samples_*.jsonl of lm-evaluation-harness, *.eval and *.json of Inspect, details_*.parquet of lighteval, *.jsonl of "
    "Every Eval Ever, or rows with task, id, metric and score"
)


def split_name(named: str) -> tuple[Path, str]:
    """(path, run) of `PATH` or `PATH#RUN`."""
    if Path(named).exists() or "#" not in named:
        return Path(named), ""
    front, _, wanted = named.rpartition("#")
    return Path(front), wanted


def find_runs(named: str, cluster: str | None) -> list[Run]:
    """The runs at `PATH`, or the one of them that `PATH#RUN` names (its name or model).

    A run that is there as `.eval` and as `.json` counts once. InputError when there is none.
    """
    path, wanted = split_name(named)
    if not path.exists():
        raise InputError(f"{named}: no such file or folder")
    files = bounds.list_files(path) if path.is_dir() else [path]
    runs = _runs(files, cluster, path.is_dir())
    if not runs:
        raise InputError(f"{named}: no log of samples; relearn reads {KNOWN}")
    if wanted:
        kept = [run for run in runs if wanted in (run.name, run.model)]
        if not kept:
            raise InputError(f"{named}: no run {wanted}; there are {_names(runs)}")
        return kept
    return runs


def _runs(files: Sequence[Path], cluster: str | None, folder: bool) -> list[Run]:
    runs = [lm_eval.read(paths, cluster) for paths in lm_eval.group_runs(files)]
    runs += [lighteval.read(paths, cluster) for paths in lighteval.group_runs(files)]
    seen: dict[str, Run] = {}
    for path in sorted(files, key=lambda path: path.suffix != ".eval"):
        if lm_eval.SAMPLES.fullmatch(path.name) or lm_eval.RESULTS.fullmatch(path.name):
            continue
        found: list[Run] = []
        if path.suffix == ".eval":
            found = [inspect.read_archive(path, cluster)]
        elif path.suffix == ".json":
            document = bounds.read_document(path)
            if inspect.is_log(document):
                found = [inspect.read_document(path, document, cluster)]
            elif not folder and not every_eval_ever.is_aggregate(document):
                raise InputError(f"{path}: not a known log; relearn reads {KNOWN}")
            elif not folder:
                rows = path.with_name(f"{path.stem}{every_eval_ever.SUFFIX}.jsonl")
                if not rows.is_file():
                    raise InputError(f"{path}: an aggregate has no samples, and {rows.name} is not beside it")
                found = every_eval_ever.read(rows, cluster)
        elif path.suffix in (".jsonl", ".ndjson"):
            found = _lines(path, cluster, folder)
        elif not folder and not lighteval.DETAILS.fullmatch(path.name):
            raise InputError(f"{path}: not a known log; relearn reads {KNOWN}")
        for run in found:
            twin = seen.setdefault(run.name, run) if run.tool == "Inspect" else run
            if twin is run:
                runs.append(run)
            else:
                twin.notes.append(f"{path}: the same run as {twin.source}, which is read instead")
    return runs


def _lines(path: Path, cluster: str | None, folder: bool) -> list[Run]:
    where, row = next(bounds.read_rows(path, []), ("", {}))
    if not where:
        if folder:
            return []
        raise InputError(f"{path}: holds no rows")
    if every_eval_ever.is_instance(row):
        return every_eval_ever.read(path, cluster)
    if plain.is_row(row):
        return plain.read(path, cluster)
    if "doc_id" in row and ("metrics" in row or "filtered_resps" in row):
        return [lm_eval.read([path], cluster)]
    if folder:
        return []
    raise InputError(f"{where}: not a row of a known log; relearn reads {KNOWN}")


def _names(runs: Sequence[Run]) -> str:
    return ", ".join(run.name for run in runs[:8]) + (", …" if len(runs) > 8 else "")
