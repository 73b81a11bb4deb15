"""Kills `generate` in batch mode with `kill -9` at random moments: is anything submitted twice, or not answered?

    python -m bench.generation_batch                   # 5,000 requests, 30 kills

One run after the other over the same reviews: each is killed at a moment drawn from what a run still has to do (by the
clock, or a moment after the server has taken an upload, a batch, or has sent a result), until all kills are done; the
last goes on to its end. Ends with status 1 when a request was submitted twice, or a review has no answer.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from bench.batch_server import BatchServer
from bench.scratch import Scratch, server_teacher

EVENTS = ("files", "batches", "read")


def wait_for(server: BatchServer, moment: tuple[str, float], child: subprocess.Popen[str]) -> None:
    """Returns so long after the next event of the kind (or the start), or when the child has ended."""
    kind, seconds = moment
    before, started = server.events.count(kind), time.monotonic()
    while kind and server.events.count(kind) == before and child.poll() is None:
        if time.monotonic() - started > 30:
            break  # nothing of the kind is left to do
        time.sleep(0.002)
    until = time.monotonic() + seconds
    while time.monotonic() < until and child.poll() is None:
        time.sleep(0.002)


def read_state(scratch: Scratch) -> str:
    """How far the open batches are, as the journal has it."""
    from relearn.endpoint.journal import Journal

    if not scratch.journal.is_file():
        return "nothing journalled"
    with Journal(scratch.journal) as journal:
        rows = list(journal.open_batches())
    if any(row["file"] is None for row in rows):
        return "before the upload was known"
    if any(row["creating"] is None for row in rows):
        return "uploaded"
    if any(row["id"] is None for row in rows):
        return "being created"
    return "waiting or reading" if rows else "no batch open"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    per_batch = max(1, chosen.requests // (2 * chosen.kills))
    states: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        server = BatchServer(seconds=3.0, pause=0.3)
        threading.Thread(target=server.serve, daemon=True).start()
        options = {
            "teacher": server_teacher(server.base_url),
            "mode": "batch",
            "batch": {"price": 0.5, "requests": per_batch, "megabytes": 100, "poll_s": 0.2},
            "timeout_s": 2.0,  # so long a batch whose creation was cut short is looked for
        }
        scratch = Scratch(Path(name) / "project", chosen.requests, options)
        kills = 0
        while kills < chosen.kills:
            child = scratch.start()
            kind = rng.choice((*EVENTS, ""))
            wait_for(server, (kind, rng.uniform(0, 0.4) if kind else rng.uniform(0.5, 6.0)), child)
            if child.poll() is not None:
                break
            child.kill()
            child.communicate()
            kills += 1
            state = read_state(scratch)
            states[state] += 1
            said = {"kill": kills, "state": state, "answered": len(scratch.answered()), "batches": len(server.batches)}
            print(json.dumps(said), flush=True)
        done = scratch.run()
        print(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode)
        answered = [reply.id for reply in scratch.replies()] if done.returncode == 0 else []
    once = set(server.submitted.values()) == {1} and len(server.submitted) == chosen.requests
    whole = answered == [f"r{number:04d}" for number in range(chosen.requests)]
    found = {
        "requests": chosen.requests,
        "kills": kills,
        "killed_while": dict(sorted(states.items())),
        "batches": len(server.batches),
        "uploads": len([name for name in server.files if name.startswith("file")]),
        "submitted_twice": sum(count > 1 for count in server.submitted.values()),
        "answered_once_and_in_order": whole,
    }
    print(json.dumps(found))
    sys.exit(0 if once and whole and kills == chosen.kills else 1)


if __name__ == "__main__":
    main()
