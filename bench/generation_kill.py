"""Kills `generate` with `kill -9` at random moments and lets it go on: is anything lost, or paid for again?

    python -m bench.generation_kill                    # 30 runs over 500 reviews

Each run has a journal of its own, is killed once, some milliseconds after a request drawn from all of them has
arrived, and is then continued to the end. The server counts what arrives; after a kill the journal is read, and none of what it
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


def wait_for(log: Path, start: int, count: int, child: subprocess.Popen[str]) -> None:
    """Returns when `count` lines are in the log after byte `start`, or the child has ended."""
    with log.open("rb") as file:
        file.seek(start)
        seen = 0
        while seen < count and child.poll() is None:
            seen += file.read().count(b"\n")
            time.sleep(0.002)


def kill_once(
    folder: Path, log: Path, url: str, count: int, concurrency: int, moment: tuple[int, float]
) -> dict[str, Any]:
    """One run, killed so many seconds after so many requests, and continued; what the counts say."""
    scratch = Scratch(folder, count, options(url, concurrency))
    before, start = len(arrivals(log)), log.stat().st_size
    child = scratch.start()
    wait_for(log, start, moment[0], child)
    time.sleep(moment[1])
    killed = child.poll() is None
    child.kill()
    child.communicate()
    kept = scratch.answered()
    time.sleep(0.2)  # what was on its way when the client died arrives
    at_kill = len(arrivals(log))
    done = scratch.run()
    if done.returncode:
        raise SystemExit(f"the run did not go on: {done.stderr.strip()}")
    names = scratch.messages_by_key(Address.of(url, "key").identity)
    arrived = arrivals(log)
    again = {names[key] for key in kept} & set(arrived[at_kill:])
    replies = [reply.id for reply in scratch.replies()]
    return {
        "killed": killed,
        "journalled_at_the_kill": len(kept),
        "journalled_but_sent_again": len(again),
        "sent": len(arrived) - before,
        "sent_twice": len(arrived) - before - count,
        "counted_as_in_flight": scratch.facts()["asked_again_after_a_kill"],
        "answered_once_and_in_order": replies == [f"r{number:04d}" for number in range(count)],
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
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "arrivals.jsonl"
        command = [sys.executable, "-m", "relearn.mini.server", "--latency", str(chosen.latency), "--log", str(log)]
        server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            size = (url, chosen.reviews, chosen.concurrency)
            while sum(result["killed"] for result in results) < chosen.runs:
                moment = rng.randint(1, chosen.reviews), rng.uniform(0, 0.1)
                results.append(kill_once(Path(name) / str(len(results)), log, *size, moment))
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
        "killed": sum(each["killed"] for each in results),
        "with_answers_missing": sum(0 < each["journalled_at_the_kill"] < chosen.reviews for each in results),
        "journalled_but_sent_again": sum(each["journalled_but_sent_again"] for each in results),
        "most_sent_twice": max(each["sent_twice"] for each in results),
        "sent_twice_in_all": sum(each["sent_twice"] for each in results),
        "wrong": len(wrong),
    }
    print(json.dumps(summary))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
