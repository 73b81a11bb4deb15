"""Every fault at 5% at once: does everything end answered or listed, and do the counts add up?

    python -m bench.generation_faults                  # 1,000 reviews, ten kinds of fault: half of all requests

Runs the stage again while it lists reviews without an answer, as its message says, and nothing else. Ends with
status 1 when a review is lost, asked again after it was answered, or a count is off.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.scratch import ROOT, Scratch, server_teacher
from relearn.mini.faults import KINDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--reviews", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=0.05, help="of each kind")
    parser.add_argument("--attempts", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "arrivals.jsonl"
        command = [sys.executable, "-m", "relearn.mini.server", "--latency", "0.05", "--log", str(log)]
        for kind in KINDS:
            command += ["--fault", f"{kind}={chosen.rate}"]
        server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            teacher = server_teacher(server.stdout.readline().strip())
            scratch = Scratch(
                Path(name) / "project",
                chosen.reviews,
                {
                    "teacher": teacher,
                    "attempts": chosen.attempts,
                    "timeout_s": 2.0,
                    "concurrency": 32,
                    "max_tokens": 512,
                },
            )
            runs = 0
            while True:
                runs += 1
                done = scratch.run()
                print(done.stderr.strip().splitlines()[-1], flush=True)
                if done.returncode == 0:
                    break
                if "requests got no answer" not in done.stderr or runs == 20:
                    raise SystemExit("it needed help")
        finally:
            server.terminate()
            server.wait()
        arrived = [json.loads(line) for line in log.read_text().splitlines()]
        replies = scratch.replies()
        facts = scratch.facts()
    lost = set(KINDS) - {"null_content", "refusal"}  # these two are answers, if poor ones
    answers = sum(line["fault"] not in lost for line in arrived)
    found = {
        "reviews": chosen.reviews,
        "runs": runs,
        "arrived": len(arrived),
        "faulty": len(arrived) - answers,
        "answers_sent": answers,
        "replies": len(replies),
        "null_or_refused": sum(reply.content is None for reply in replies),
        "last_run": {name: facts[name] for name in ("journalled", "answered", "sent", "retried", "failures")},
    }
    print(json.dumps(found))
    whole = [reply.id for reply in replies] == [f"r{number:04d}" for number in range(chosen.reviews)]
    sys.exit(0 if whole and answers == chosen.reviews else 1)


if __name__ == "__main__":
    main()
