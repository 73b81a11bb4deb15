"""Kills `generate` with `kill -9` at random moments and lets it go on: is anything lost, or paid for again?

    python -m bench.generation_kill                    # 30 runs over 500 reviews

Each run has a journal of its own, is killed once, at a moment drawn from the time that an undisturbed run takes
from its first request to its last answer, and is then continued to the end. The server counts what arrives; after a kill the journal is read, and none of what it
holds may arrive again. Ends with status 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.scratch import ROOT, Scratch, server_teacher
from relearn.endpoint.request import Address


def options(url: str, concurrency: int) -> dict[str, Any]:
    """The profile's group `generate` for this benchmark."""
    return {"teacher": server_teacher(url), "concurrency": concurrency, "max_tokens": 512}


def arrivals(log: Path) -> list[str]:
    """The hashes of the messages, in the order in which requests arrived."""
    return [json.loads(line)["messages"] for line in log.read_text().splitlines()]


def kill_once(
    folder: Path, log: Path, url: str, count: int, concurrency: int, after: float | None
) -> dict[str, Any]:
    """One run, killed so many seconds after its first request (None: not at all), and continued; the counts."""
    scratch = Scratch(folder, count, options(url, concurrency))
    before = len(arrivals(log))
    killed, kept, at_kill = False, set[str](), 0
    if after is not None:
        child = scratch.start()
        while len(arrivals(log)) == before and child.poll() is None:
            time.sleep(0.005)
        try:
            child.wait(after)
        except subprocess.TimeoutExpired:
            child.kill()
            killed = True
        child.communicate()
        kept = scratch.answered() if scratch.journal.exists() else set()
        time.sleep(0.2)  # what was on its way when the client died arrives
        at_kill = len(arrivals(log))
    done = scratch.run()
    if done.returncode:
        raise SystemExit(f"the run did not go on: {done.stderr.strip()}")
    names = scratch.messages_by_key(Address.of(url, "key").identity)
    arrived = arrivals(log)
    again = {names[key] for key in kept} & set(arrived[at_kill:]) if after is not None else set()
    replies = [reply.id for reply in scratch.replies()]
    return {
        "killed": killed,
        "journalled_at_the_kill": len(kept),
        "journalled_but_sent_again": len(again),
        "sent": len(arrived) - before,
        "sent_twice": len(arrived) - before - count,
        "counted_as_in_flight": scratch.facts()["asked_again_after_a_kill"],
        "answered_once_and_in_order": replies == [f"r{number:04d}" for number in range(count)],
        "asking_seconds": scratch.facts()["asking_seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--reviews", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    results = []
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "arrivals.jsonl"
        command = [
            sys.executable,
            "-m",
            "relearn.mini.server",
            "--latency",
            str(chosen.latency),
            "--log",
            str(log),
        ]
        server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            size = (url, chosen.reviews, chosen.concurrency)
            whole = kill_once(Path(name) / "whole", log, *size, None)
            print(json.dumps({"undisturbed": whole}), flush=True)
            for number in range(chosen.runs):
                after = rng.uniform(0, whole["asking_seconds"])
                results.append(kill_once(Path(name) / str(number), log, *size, after))
                print(json.dumps(results[-1]), flush=True)
        finally:
            server.terminate()
            server.wait()
    wrong = [
        result
        for result in results
        if result["journalled_but_sent_again"]
        or not result["answered_once_and_in_order"]
        or not 0 <= result["sent_twice"] <= chosen.concurrency
        or result["sent_twice"] > result["counted_as_in_flight"]
    ]
    summary = {
        "runs": len(results),
        "killed_while_asking": sum(0 < each["journalled_at_the_kill"] < chosen.reviews for each in results),
        "journalled_but_sent_again": sum(each["journalled_but_sent_again"] for each in results),
        "most_sent_twice": max(each["sent_twice"] for each in results),
        "sent_twice_in_all": sum(each["sent_twice"] for each in results),
        "wrong": len(wrong),
    }
    print(json.dumps(summary))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
