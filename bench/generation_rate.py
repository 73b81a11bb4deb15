"""A limit of so many requests a minute, as the server sees it.

    python -m bench.generation_rate                    # 600 a minute, over 150 s

The server notes when each request arrives. Printed: the most arrivals in any 60 s, and the fewest in any full 60 s
after the first minute. Ends with status 1 when the first passes the limit or the second is below 95% of it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from bench.generation import Texts, options
from bench.scratch import ROOT, ask_pairs
from relearn.endpoint.asking import ask
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address
from relearn.endpoint.tally import Tally
from relearn.teacher import asking

WINDOW = 60.0


def busiest(times: list[float]) -> int:
    """The most arrivals in any window of 60 s, both ends counted."""
    most = start = 0
    for end, moment in enumerate(times):
        while moment - times[start] > WINDOW:
            start += 1
        most = max(most, end - start + 1)
    return most


def emptiest(times: list[float], until: float) -> int:
    """The fewest arrivals in any 60 s that begin after the first minute and end before `until`."""
    fewest = len(times)
    starts = [moment for moment in times if moment >= times[0] + WINDOW and moment + WINDOW <= until]
    for start in starts:  # just after an arrival a window holds the fewest
        fewest = min(fewest, sum(1 for moment in times if start < moment <= start + WINDOW))
    return fewest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--per-minute", type=int, default=600)
    parser.add_argument("--seconds", type=float, default=150.0)
    parser.add_argument("--concurrency", type=int, default=64)
    chosen = parser.parse_args()
    command = [sys.executable, "-m", "bench.lean_server", "--latency", "0.3", "--arrivals"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        # More than fit into the time, so that the last window is a full one.
        count = int(chosen.per_minute * chosen.seconds / 60) + chosen.concurrency
        group = options(chosen.concurrency).model_copy(update={"requests_per_minute": chosen.per_minute})
        questions = ask_pairs(Texts(count), group)
        address = Address.of(url, "bench-key", "bench")

        with tempfile.TemporaryDirectory() as name, Journal(Path(name) / "journal.sqlite") as journal:
            ask(questions, address, asking.make_settings(group), journal, Tally(), "rate", "requests")
        with urllib.request.urlopen(url.replace("/v1", "/arrivals")) as response:
            times: list[float] = json.load(response)
    finally:
        server.terminate()
        server.wait()
    times = [moment for moment in times if moment <= times[0] + chosen.seconds]
    found = {
        "per_minute": chosen.per_minute,
        "seconds": chosen.seconds,
        "arrivals": len(times),
        "most_in_any_60_s": busiest(times),
        "fewest_in_a_full_60_s_after_the_first": emptiest(times, times[0] + chosen.seconds),
    }
    print(json.dumps(found))
    wrong = (
        found["most_in_any_60_s"] > chosen.per_minute
        or found["fewest_in_a_full_60_s_after_the_first"] < 0.95 * chosen.per_minute
    )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
