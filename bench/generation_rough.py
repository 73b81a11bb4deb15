"""A server that fails eight requests in ten, each for another reason: this project, and a plain retrying client.

    python -m bench.generation_rough                   # 316 reviews, eight faults at 10% each, 8 at once

Both ask the same server, one after the other, until every review is answered. The plain client is AsyncOpenAI with a
semaphore; it tries again after a wait with full jitter (0.5 s, doubled, at most 8 s) or `Retry-After`, without limits
and without an end. Ends with status 1 when a review is not answered exactly once, or the project has less than half
of the plain client's rate.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.generation import Texts, options, text
from bench.scratch import ROOT, ask_pairs
from relearn.endpoint.asking import ask
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address
from relearn.endpoint.tally import Tally
from relearn.teacher import asking

FAULTS = ("rate_limit", "rate_limit_bare", "server_error", "unavailable", "stall", "reset", "not_json", "no_choices")


def relearn(url: str, count: int, concurrency: int, timeout_s: float) -> tuple[int, float, float]:
    """(answers, seconds, share of the requests that failed) of the project's own way."""
    group = options(concurrency).model_copy(update={"timeout_s": timeout_s, "attempts": 50})
    questions = ask_pairs(Texts(count), group)
    tally, started = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory() as name, Journal(Path(name) / "journal.sqlite") as journal:
        address = Address.of(url, "bench-key", "bench")
        ask(questions, address, asking.make_settings(group), journal, tally, "relearn", "reviews")
        seconds = time.monotonic() - started
        answers = len(list(asking.read_replies(questions, address, journal, {})))
    return answers, seconds, tally.failing


def plain(url: str, count: int, concurrency: int, timeout_s: float) -> tuple[int, float, float]:
    """The same of the plain client."""
    import openai

    sent, started = 0, time.monotonic()

    async def run() -> int:
        gate, answers = asyncio.Semaphore(concurrency), 0
        async with openai.AsyncOpenAI(api_key="bench-key", base_url=url, max_retries=0, timeout=timeout_s) as client:

            async def one(number: int) -> None:
                nonlocal answers, sent
                async with gate:
                    for attempt in range(10_000):
                        wait = random.uniform(0, min(8.0, 0.5 * 2**attempt))
                        sent += 1
                        try:
                            reply = await client.chat.completions.create(
                                model="bench", messages=[{"role": "user", "content": text(number)}], max_tokens=256
                            )
                            if reply.choices[0].message.content:
                                answers += 1
                                return
                        except openai.RateLimitError as error:
                            with contextlib.suppress(KeyError):
                                wait = float(error.response.headers["retry-after"])
                        except (openai.APIError, IndexError, AttributeError, ValueError):
                            pass
                        await asyncio.sleep(wait)

            await asyncio.gather(*(one(number) for number in range(count)))
        return answers

    answers = asyncio.run(run())
    return answers, time.monotonic() - started, 1 - answers / sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--reviews", type=int, default=316)
    parser.add_argument("--rate", type=float, default=0.1, help="of each of the eight faults")
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--timeout", type=float, default=2.0, help="seconds that a stall costs")
    chosen = parser.parse_args()
    command = [sys.executable, "-m", "relearn.mini.server", "--latency", "0.1"]
    for kind in FAULTS:
        command += ["--fault", f"{kind}={chosen.rate}"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    rates = {}
    whole = True
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        for name, way in (("plain", plain), ("relearn", relearn)):
            answers, seconds, failing = way(url, chosen.reviews, chosen.concurrency, chosen.timeout)
            rates[name] = answers / seconds
            whole = whole and answers == chosen.reviews
            print(
                json.dumps(
                    {
                        "way": name,
                        "answers": answers,
                        "seconds": round(seconds, 1),
                        "per_second": round(rates[name], 2),
                        "failing_share": round(failing, 3),
                    }
                ),
                flush=True,
            )
    finally:
        server.terminate()
        server.wait()
    share = rates["relearn"] / rates["plain"]
    print(json.dumps({"share_of_plain": round(share, 3), "every_review_answered": whole}))
    sys.exit(0 if whole and share >= 0.5 else 1)


if __name__ == "__main__":
    main()
