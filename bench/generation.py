"""How close generation comes to the ideal rate, and what a request costs: this project, and peers, in one run.

    python -m bench.generation                        # 5,000 requests, 64 at once, 0.3 s latency
    python -m bench.generation --requests 100000 --latency 0 --only relearn

Ways, each in a process of its own against the same loopback server (a process of its own, too):
  relearn   relearn.teacher.asking: journal, limits, retries, budget, then the replies written in order
  bare      AsyncOpenAI and a semaphore, all answers in memory
  bare-aio  the same over aiohttp's transport
  distilabel  where it is installed (bench/requirements.txt; it does not install beside this project's pins)

The steady share counts the responses between the 64th and the last full wave, over the ideal of
concurrency / latency; the whole share counts everything from the first line of work to the last file written.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.words import WORDS

WAYS = ("relearn", "bare", "bare-aio", "distilabel")


def text(number: int) -> str:
    """A review of about 600 characters, another for each number."""
    return f"Review {number}. " + " ".join(WORDS[(number * 7 + i * i) % len(WORDS)] for i in range(120))


class Texts:
    """`count` texts, made one by one."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[Any]:
        from bench.scratch import make_source

        for number in range(self.count):
            yield make_source(f"r{number:06d}", text(number))


def options(concurrency: int) -> Any:
    """A parameter group for the benchmark."""
    from relearn.params.generate import Generate

    return Generate.model_validate(
        {
            "teacher": {"kind": "server", "base_url": "http://127.0.0.1/v1", "api_key_env": "BENCH_KEY"},
            "model": "bench",
            "temperature": 0.7,
            "max_tokens": 256,
            "max_tokens_limit": 512,
            "response_format": "none",
            "concurrency": concurrency,
            "requests_per_minute": None,
            "tokens_per_minute": None,
            "timeout_s": 30,
            "attempts": 5,
            "price_input": 0.15,
            "price_output": 0.6,
            "budget_usd": None,
            "mode": "live",
            "batch": {"price": 0.5, "requests": 1000, "megabytes": 10, "poll_s": 0.05},
            "reasoning_effort": None,
            "extra_body": None,
        }
    )


def relearn(url: str, count: int, concurrency: int, folder: Path) -> list[float]:
    """The project's own way; returns the times at which answers were in the journal."""
    from bench.scratch import ask_pairs
    from relearn.endpoint.journal import Journal
    from relearn.endpoint.request import Address
    from relearn.endpoint.run import fetch
    from relearn.endpoint.survey import survey
    from relearn.endpoint.tally import Tally
    from relearn.files import write_jsonl
    from relearn.teacher import asking

    times: list[float] = []
    questions = ask_pairs(Texts(count), options(concurrency))
    address = Address.of(url, "bench-key", "bench")
    with Journal(folder / "journal.sqlite") as journal:
        settings, tally = asking.make_settings(questions.options), Tally()
        before = survey(questions, journal, address.identity, settings.max_tokens_limit, settings.prices)
        fetch(questions, address, settings, journal, before, tally, lambda: times.append(time.monotonic()))
        asking.refuse_unanswered(tally, "the tally")
        write_jsonl(folder / "replies.jsonl", asking.read_replies(questions, address, journal, {}))
    return times


def bare(url: str, count: int, concurrency: int, folder: Path, aio: bool = False) -> list[float]:
    """AsyncOpenAI and a semaphore: what most people write first."""
    import asyncio

    import openai

    times: list[float] = []

    async def run() -> list[str | None]:
        gate = asyncio.Semaphore(concurrency)
        http = openai.DefaultAioHttpClient() if aio else None
        async with openai.AsyncOpenAI(api_key="bench-key", base_url=url, http_client=http) as client:

            async def one(number: int) -> str | None:
                async with gate:
                    answer = await client.chat.completions.create(
                        model="bench",
                        messages=[{"role": "user", "content": text(number)}],
                        temperature=0.7,
                        max_tokens=256,
                    )
                times.append(time.monotonic())
                return answer.choices[0].message.content

            return await asyncio.gather(*(one(number) for number in range(count)))

    answers = asyncio.run(run())
    with open(folder / "replies.jsonl", "w") as file:
        file.writelines(json.dumps(answer) + "\n" for answer in answers)
    return times


def distilabel(url: str, count: int, concurrency: int, folder: Path) -> list[float]:
    """distilabel's pipeline with its OpenAI client, batches of `concurrency`; no times of single answers."""
    os.environ["HF_HOME"] = os.environ["DISTILABEL_CACHE_DIR"] = str(folder)
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps import LoadDataFromDicts
    from distilabel.steps.tasks import TextGeneration

    with Pipeline(name="bench", cache_dir=folder) as pipeline:
        load = LoadDataFromDicts(
            data=[{"instruction": text(number)} for number in range(count)], batch_size=concurrency
        )
        generate = TextGeneration(
            llm=OpenAILLM(model="bench", base_url=url, api_key="bench-key"), input_batch_size=concurrency
        )
        load >> generate
    done = pipeline.run(use_cache=False)
    if len(done["default"]["train"]) != count:
        raise SystemExit("distilabel lost rows")
    return []


RUNNERS: dict[str, Callable[[str, int, int, Path], list[float]]] = {
    "relearn": relearn,
    "bare": bare,
    "bare-aio": lambda *arguments: bare(*arguments, aio=True),
    "distilabel": distilabel,
}


def one(way: str, url: str, count: int, concurrency: int, latency: float) -> None:
    """Runs one way in this process and prints its figures as JSON."""
    with tempfile.TemporaryDirectory() as name:
        started = time.monotonic()
        times = RUNNERS[way](url, count, concurrency, Path(name))
        seconds = time.monotonic() - started
    used, below = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime + below.ru_utime + below.ru_stime
    figures = {
        "way": way,
        "seconds": round(seconds, 2),
        "cpu_ms_per_request": round(1000 * cpu / count, 3),
        "peak_mb": round(max(used.ru_maxrss, below.ru_maxrss) / 1024),
    }
    if latency:
        ideal = concurrency / latency
        figures["whole_share"] = round(count / seconds / ideal, 4)
        if len(times) > 3 * concurrency:
            last = (len(times) // concurrency - 1) * concurrency
            steady = (last - concurrency) / (times[last - 1] - times[concurrency - 1])
            figures["steady_share"] = round(steady / ideal, 4)
    print(json.dumps(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.3)
    parser.add_argument("--only", choices=WAYS, action="append")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--python", default=sys.executable, help="another environment's, for distilabel")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "URL"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        one(*chosen.one, chosen.requests, chosen.concurrency, chosen.latency)
        return
    root = Path(__file__).resolve().parent.parent
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.lean_server", "--latency", str(chosen.latency)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    )
    assert server.stdout is not None
    try:
        url = server.stdout.readline().strip()
        for _ in range(chosen.repeat):
            for way in chosen.only or WAYS:
                python = chosen.python if way == "distilabel" else sys.executable
                command = [python, "-m", "bench.generation", "--one", way, url]
                for name in ("requests", "concurrency", "latency"):
                    command += [f"--{name}", str(getattr(chosen, name))]
                result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
                line = result.stdout.strip().splitlines()[-1:] or [""]
                if result.returncode:
                    line = [f"{way}: {(result.stderr.strip().splitlines() or ['failed'])[-1]}"]
                print(*line, flush=True)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
