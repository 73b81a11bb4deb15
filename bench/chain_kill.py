"""SIGKILL at random moments of the whole chain: does a continued chain end in the bytes of an uninterrupted run?

    python -m bench.chain_kill              # 40 kills, eight to a chain; about 20 minutes on a quiet core
    python -m bench.chain_kill --kills 10 --profile smollm2 --lr 1e-3   # ten in one chain of the real model; an hour

Works in clones of the working tree. The chain runs once undisturbed, which also times its stages.
A kill's moment is a stage drawn from all and a time drawn from that stage's length (dvc's own work on it, such as
hashing and the lock file, counts as part of it). In turn the kill strikes dvc alone, the stage's process alone, and the
whole process group. After each: no process of the clone may be alive after a few seconds, nor write meanwhile; then
`dvc repro` starts again, up to the next kill, and at last to the end, where dvc.lock, models/, data/, metrics/ and report/
are compared with the undisturbed run's, byte for byte, and `dvc status` must find everything up to date.

A run that ends before its kill counts for nothing, and the kill is drawn again. Finished chains are kept in
.cache/bench/, under a hash of the code: stop this command at any time, and the same command goes on. Writes
bench/out/chain_kill.json; ends with status 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped, unused-ignore]

from stages import die_with_parent
from tests.integration.conftest import Clone, copy, make
from tests.verify import compare, files

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out" / "chain_kill.json"
WAYS = ("dvc", "stage", "group")
PER_CHAIN = 8
LINGER = 10.0  # seconds a process may take to end after its parent was killed (on a machine busy with other work)
MARK = "RELEARN_CHAIN_KILL"  # in the environment of everything that a run starts


def main() -> None:
    """Makes or finds the clone, runs the missing kills, and writes the tally."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--lr", default="0.01")
    options = parser.parse_args()
    place = ROOT / ".cache" / "bench" / f"chain-kill-{options.profile}-{_code()}"
    state = State(place)
    if not state.seconds:
        state.seconds = _undisturbed(place, options.profile, options.lr)
        state.save()
    pristine = Clone(place / "pristine" / "clone", place / "pristine" / "home")
    per_chain = PER_CHAIN if options.profile == "tiny" else options.kills
    while len(state.kills) < options.kills:
        chain = Chain(copy(pristine, _fresh(place / "chain")), state)
        count = min(per_chain, options.kills - len(state.kills))
        state.kills += chain.done(count, Clone(place / "reference" / "clone", place / "reference" / "home"))
        state.chains += 1
        state.save()
    kills = state.kills[: options.kills]
    wrong = [kill for kill in kills if not kill["right"]]
    result = {
        "profile": options.profile,
        "kills": len(kills),
        "right": len(kills) - len(wrong),
        "ways": {way: sum(kill["way"] == way for kill in kills) for way in WAYS},
        "stages": {stage: sum(kill["stage"] == stage for kill in kills) for stage in state.seconds},
        "slowest_end_s": max(kill["ended_after_s"] for kill in kills),
        "files_compared": len(files(place / "reference" / "clone")),
        "each": kills,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: value for name, value in result.items() if name != "each"}, indent=2))
    if wrong:
        sys.exit(f"chain_kill: {len(wrong)} of {len(kills)} kills did not end in a right result: {wrong[0]}")


class State:
    """What is done: the stages' seconds, and the kills of finished chains."""

    def __init__(self, place: Path) -> None:
        self._file = place / "state.json"
        self.seconds: dict[str, float] = {}
        self.kills: list[dict[str, Any]] = []
        self.chains = 0
        if self._file.is_file():
            vars(self).update(json.loads(self._file.read_text(encoding="utf-8")))

    def save(self) -> None:
        """Writes it, whole or not at all."""
        kept = {name: value for name, value in vars(self).items() if name != "_file"}
        self._file.with_suffix(".new").write_text(json.dumps(kept), encoding="utf-8")
        self._file.with_suffix(".new").replace(self._file)


def _code() -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name in ("relearn", "stages", "tests/profiles", "profiles", "prompts", "data/sources", "dvc.yaml"):
        place = ROOT / name
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file() and file.suffix != ".pyc":
                digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _undisturbed(place: Path, profile: str, lr: str) -> dict[str, float]:
    """Makes the clones of a profile, runs the chain once, and returns each stage's seconds."""
    print("running the chain undisturbed", flush=True)
    pristine = make(_fresh(place / "pristine") / "clone", place / "pristine" / "home")
    (pristine.folder / "params.yaml").write_text(f"profile: {profile}\nlr: {lr}\nseed: 1222\nmethod: plain\n")
    run = Run(copy(pristine, _fresh(place / "reference")))
    if run.wait() != 0:
        sys.exit(f"chain_kill: the undisturbed run failed:\n{run.text()}")
    ends = [*list(run.begun.values())[1:], run.ended]
    return {stage: round(end - begun, 3) for (stage, begun), end in zip(run.begun.items(), ends, strict=True)}


def _environment(clone: Clone) -> dict[str, str]:
    """The clone's, in which a large model's threads may spin."""
    return {name: value for name, value in clone.environment.items() if not name.startswith(("OMP_", "GOMP_"))}


class Run:
    """A `dvc repro` in a session of its own, its output read as it comes."""

    def __init__(self, clone: Clone) -> None:
        self.clone = clone
        self.begun: dict[str, float] = {}  # the moment at which each stage began
        self.lines: list[str] = []
        self.ended = 0.0
        self.mark = f"{os.getpid()}-{time.monotonic_ns()}"
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            ["dvc", "repro"], cwd=clone.folder, env={**_environment(clone), MARK: self.mark},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            preexec_fn=die_with_parent,  # it goes with this command, should that be stopped
        )  # fmt: skip
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self.lines.append(line)
                if found := re.match(r"Running stage '(\w+)'", line):
                    self.begun[found[1]] = time.monotonic()
                self._news.notify_all()
        with self._news:
            self.ended = time.monotonic()
            self._news.notify_all()

    def wait_for(self, stages: list[str], share: float, seconds: dict[str, float]) -> bool:
        """Returns when a share of the seconds of the first of `stages` to run is over; False when the run ended first."""

        def running() -> str | None:
            return next((stage for stage in stages if stage in self.begun), None)

        with self._news:
            self._news.wait_for(lambda: running() or self.ended)
            stage = running()
            if stage is None:
                return False
            left = self.begun[stage] + share * seconds[stage] - time.monotonic()
            self._news.wait_for(lambda: self.ended, timeout=max(0.0, left))
            return not self.ended

    def stage(self) -> str:
        """The stage that began last."""
        return list(self.begun)[-1] if self.begun else "none"

    def stage_process(self) -> psutil.Process | None:
        """The process of the stage that runs now; None while dvc is at work itself."""
        try:
            for child in psutil.Process(self.pid).children(recursive=True):
                # the program itself, not a shell that may be in between
                if any(word.startswith("stages.") for word in child.cmdline()):
                    return child
        except psutil.NoSuchProcess:
            pass
        return None

    def processes(self) -> list[psutil.Process]:
        """What the run has started and is still alive, however far it has gone from its parent."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get(MARK) == self.mark or os.getsid(process.pid) == self.pid
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError, PermissionError):
                continue
        return found

    def below(self) -> list[psutil.Process]:
        """All descendants; programs in a sandbox have another environment, and are found only so."""
        try:
            return list(psutil.Process(self.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return []

    def wait(self) -> int:
        """The exit status, once everything is read."""
        status = self._process.wait()
        self._reader.join(timeout=LINGER)
        return status

    def killed(self) -> int:
        """The exit status of a dvc that was killed: its pipe may be open still, held by what it left behind."""
        return self._process.wait()

    def text(self) -> str:
        """The end of what it said."""
        return "".join(self.lines[-25:])


class Chain:
    """One clone, killed several times and then left to finish."""

    def __init__(self, clone: Clone, state: State) -> None:
        self.clone, self.seconds = clone, state.seconds
        self._draw = random.Random(f"chain {state.chains}")
        self._first = len(state.kills)
        self._number = state.chains

    def done(self, count: int, reference: Clone) -> list[dict[str, Any]]:
        """`count` kills and the finish; what each was, and whether all came right in the end."""
        drawn = sorted(self._draw.randrange(len(self.seconds)) for _ in range(count))
        kills: list[dict[str, Any]] = []
        for position in drawn:
            way = WAYS[(self._first + len(kills)) % len(WAYS)]
            kill = self._kill(position, self._draw.random(), way)
            if kill is None:  # the chain came to its end first
                break
            kills.append(kill)
            print(f"kill {self._first + len(kills)}: {json.dumps(kill)}", flush=True)
        run = Run(self.clone)
        faults = [] if run.wait() == 0 else [f"the last run failed: {run.text()}"]
        faults += [str(difference) for difference in compare(reference.folder, self.clone.folder)]
        status = self.clone.run("dvc", "status", check=False)
        if status.stdout.strip() != "Data and pipelines are up to date.":
            faults.append(f"dvc status: {status.stdout}{status.stderr}")
        print(f"chain {self._number + 1}: {faults or 'the same bytes'}", flush=True)
        return [{**kill, "right": not faults and not kill["faults"], "end": faults} for kill in kills]

    def _kill(self, position: int, share: float, way: str) -> dict[str, Any] | None:
        """Runs the chain, kills after a share of a stage's seconds, and looks at what is left.

        Where that stage was finished by an earlier run, the next that runs is meant. None when the run ended first.
        """
        run = Run(self.clone)
        found = run.wait_for(list(self.seconds)[position:], share, self.seconds)
        target = run.stage_process()
        while way == "stage" and target is None and not run.ended:
            time.sleep(0.002)
            target = run.stage_process()
        stage = run.stage()
        after = round(time.monotonic() - run.begun.get(stage, time.monotonic()), 2)
        below = run.below()
        struck = time.monotonic()
        strikes = found and not run.ended and (target is not None or way != "stage")
        if strikes:
            try:
                if way == "group":
                    os.killpg(run.pid, signal.SIGKILL)
                elif way == "stage" and target is not None:
                    target.kill()
                else:
                    os.kill(run.pid, signal.SIGKILL)
            except (psutil.NoSuchProcess, ProcessLookupError):
                pass  # it was over that very moment; the exit status tells how
        status = run.wait() if way == "stage" or run.ended else run.killed()
        if status == 0:
            return None
        kill = {"stage": stage, "after_s": after, "way": way, "inside_the_stage": target is not None}
        if not strikes or (status > 0 and way != "stage"):
            return {**kill, "ended_after_s": 0.0, "faults": [f"the run failed by itself: {run.text()}"]}
        faults = []
        alive = _alive(run, below)
        while alive and time.monotonic() < struck + LINGER:
            time.sleep(0.02)
            alive = _alive(run, below)
        took = time.monotonic() - struck
        faults += [f"still alive: {process}" for process in alive]
        before = self._snapshot()
        time.sleep(0.3)
        if self._snapshot() != before:
            faults.append("something wrote after the kill")
        return {**kill, "ended_after_s": round(took, 2), "faults": faults}

    def _snapshot(self) -> dict[str, tuple[int, int]]:
        """Size and time of change of every file of the clone."""
        found = {}
        for file in sorted(self.clone.folder.rglob("*")):
            try:
                status = file.lstat()
            except FileNotFoundError:
                continue
            found[str(file)] = (status.st_size, status.st_mtime_ns)
        return found


def _alive(run: Run, below: list[psutil.Process]) -> list[psutil.Process]:
    """What of a run still lives; a zombie does nothing any more."""
    found = {process.pid: process for process in run.processes()}
    for process in below:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
        except psutil.NoSuchProcess:
            continue
    return list(found.values())


if __name__ == "__main__":
    main()
