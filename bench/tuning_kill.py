"""SIGKILL at random moments of both rounds: does the continued run's adapter equal an uninterrupted one's, byte for byte?

    python -m bench.tuning_kill              # 20 kills a round, about 5 minutes on a quiet core
    python -m bench.tuning_kill --kills 3

Works in a clone of the working tree with the tiny profile, its rounds made longer (40 passes, a checkpoint every
second update). Each round is run once undisturbed; then, for each kill, from nothing: start, SIGKILL after a time
drawn from the length of the undisturbed run, start again to the end, and compare every file of the adapter folder
and the curves. A run that ended before its kill counts for nothing and is drawn again.

A process forked from one that has imported the libraries runs each stage, since seven seconds of imports would
otherwise precede two of training. What was done is kept in .cache/bench/, under a hash of the code: stop this
command at any time, and the same command goes on. Writes bench/out/tuning_kill.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out" / "tuning_kill.json"
ROUNDS = ("2b", "2c")
PASSES = 40
LONGER = (
    ("epochs: 2             # passes over the replies", "epochs: {passes}"),
    ("epochs: 1             # passes over the replayed", "epochs: {passes}  #"),
    ("eval_every: 4 ", "eval_every: 2 "),
    ("checkpoint_every: 4 ", "checkpoint_every: 2 "),
)


def main() -> None:
    """Makes or finds the clone, runs the missing kills, and writes the tally."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="kills of each round (20)")
    options = parser.parse_args()
    from tests.integration.conftest import make

    place = ROOT / ".cache" / "bench" / f"kill-{_code()}"
    if not (place / "made").exists():
        shutil.rmtree(place, ignore_errors=True)
        print("making the clone, its data and its base", flush=True)
        clone = make(place / "clone", place / "home")
        clone.python("tests.integration.chain", "prepare", "generate", "repair", "base")
        lengthen(clone.folder)
        (place / "made").write_text("")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment.pop("DVC_ROOT", None)
    with Zygote(place / "clone", environment) as zygote:
        results = {name: Kills(place / "clone", name, zygote).done(options.kills) for name in ROUNDS}
    tally = {
        name: {
            "kills": len(found),
            "equal": sum(kill["equal"] for kill in found),
            "went_on_from_a_checkpoint": sum(kill["from"] > 0 for kill in found),
        }
        for name, found in results.items()
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({**tally, "runs": results}, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(tally, indent=2))
    if any(kill["equal"] is False for found in results.values() for kill in found):
        sys.exit("tuning_kill: a continued run differs from an uninterrupted one")


def lengthen(clone: Path, passes: int = PASSES) -> None:
    """Makes both rounds of the clone's tiny profile long enough to be killed in."""
    profile = clone / "profiles" / "tiny.yaml"
    text = profile.read_text(encoding="utf-8")
    for old, new in LONGER:
        assert old in text, f"tiny.yaml does not hold {old!r}"
        text = text.replace(old, new.format(passes=passes), 1)
    profile.write_text(text, encoding="utf-8")


def _code() -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for folder in ("relearn", "stages", "tests/profiles"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix in (".py", ".yaml"):
                digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()[:12]


class Kills:
    """The kills of one round (2b or 2c) in a clone whose earlier stages have run; the tally is kept in the clone."""

    def __init__(self, clone: Path, name: str, zygote: Zygote) -> None:
        self.clone, self.name, self.zygote = clone, name, zygote
        self.tally = clone / ".cache" / f"kills-{name}.json"

    def done(self, count: int) -> list[dict[str, Any]]:
        """`count` kills, those of earlier calls among them: the moment, where it went on from, whether equal."""
        state: dict[str, Any] = {"kills": []}
        if self.tally.is_file():
            state = json.loads(self.tally.read_text(encoding="utf-8"))
        if "reference" in state and len(state["kills"]) >= count:
            return list(state["kills"][:count])
        draw = random.Random(f"{self.name} {len(state['kills'])}")
        if "reference" not in state:
            self._forget()
            begun = time.monotonic()
            assert self.zygote.run(self.name, None) == 0, "the undisturbed run failed"
            state |= {"seconds": time.monotonic() - begun, "reference": self._hashes()}
        while len(state["kills"]) < count:
            self._forget()
            moment = draw.uniform(0, state["seconds"])
            if self.zygote.run(self.name, moment) is not None:
                continue  # it ended first
            said = self.zygote.log()
            assert self.zygote.run(self.name, None) == 0, "the continued run failed"
            found = re.findall(r"going on from checkpoint-(\d+)", self.zygote.log()[len(said) :])
            kill = {
                "after_s": round(moment, 2),
                "from": int(found[0]) if found else 0,
                "equal": self._hashes() == state["reference"],
            }
            state["kills"].append(kill)
            self.tally.write_text(json.dumps(state), encoding="utf-8")
            print(f"{self.name}, kill {len(state['kills'])} of {count}: {kill}", flush=True)
        return list(state["kills"])

    def _forget(self) -> None:
        shutil.rmtree(self.clone / ".cache" / f"finetune_{self.name}", ignore_errors=True)
        shutil.rmtree(self.clone / "models" / self.name, ignore_errors=True)
        (self.clone / "metrics" / "losses" / f"{self.name}.csv").unlink(missing_ok=True)

    def _hashes(self) -> dict[str, str]:
        files = sorted((self.clone / "models" / self.name).iterdir())
        files.append(self.clone / "metrics" / "losses" / f"{self.name}.csv")
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


class Zygote:
    """A process that has imported both rounds' stages and forks a child for each run of one."""

    def __init__(self, clone: Path, environment: Mapping[str, str]) -> None:
        self._log = clone / ".cache" / "kill.log"
        self._log.parent.mkdir(exist_ok=True)
        code = "import sys; sys.path.insert(0, '.'); from bench.tuning_kill import _zygote; _zygote()"
        with open(self._log, "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=clone, env={**environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip

    def __enter__(self) -> Zygote:
        assert self._read() == "ready", self.log()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def run(self, name: str, moment: float | None) -> int | None:
        """One run of a round's stage; its exit status, or None when it was killed `moment` seconds after its start."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        child = int(self._read())
        if moment is not None:
            ended, _, _ = select.select([self._process.stdout], [], [], moment)
            if not ended:
                os.kill(child, signal.SIGKILL)
                return None if int(self._read()) == -signal.SIGKILL else 0
        status = int(self._read())
        assert status == 0 or moment is None, self.log()
        return status


def _zygote() -> None:
    """Forks a child that runs a round's stage for each name read; prints its process id, then its exit status."""
    import importlib

    import peft  # noqa: F401
    import transformers.models.llama.modeling_llama  # noqa: F401

    stages = {name: importlib.import_module(f"stages.finetune_{name}") for name in ROUNDS}
    frame = importlib.import_module("stages.run")
    print("ready", flush=True)
    for line in sys.stdin:
        name = line.strip()
        child = os.fork()
        if child == 0:
            os.close(0)
            os.dup2(2, 1)
            status = 0
            try:
                frame.main(f"finetune_{name}", stages[name].work)
            except SystemExit as error:
                status = int(error.code or 0)
            except BaseException:  # noqa: BLE001 - the child ends here, and says why
                import traceback

                traceback.print_exc()
                status = 70
            os._exit(status)
        print(child, flush=True)
        _, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)


if __name__ == "__main__":
    main()
