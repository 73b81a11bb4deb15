"""What an experiment past these machines costs: Llama 2 70B, ten million rows, on cards that are rented.

    python -m bench.large_run                                # the table of docs/scale.md
    python -m bench.large_run --cards 16 --price 2 --mfu 0.4 --rows 1e6
    python -m bench.large_run --measure models/base          # milliseconds a row and bytes a token, with this tokenizer

Nothing runs but the arithmetic: rates of the stages without a model come from the Scale table of docs/benchmarks.md, the
FLOP of a token from the formula of `bench.tuning.flop_per_token`, and all else from the options below.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relearn.records import Message

BENCHMARKS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
RANK = 16  # of the llama2-7b profile, on every linear module
PRICE_IN, PRICE_OUT = 0.15, 0.60  # USD per million tokens, of that profile's teacher
ASKED, ANSWERED = 300, 200  # tokens of a request, and of the teacher's reply, which makes two rows
WRITTEN = 200  # tokens of a model's answer
BATCH = 64  # answers decoded together


@dataclass(frozen=True)
class Shape:
    """A Llama's: https://huggingface.co/meta-llama/Llama-2-70b-hf/blob/main/config.json"""

    hidden: int = 8192
    inner: int = 28672
    layers: int = 80
    keys: int = 1024  # width of keys and of values
    words: int = 32000

    @property
    def frozen(self) -> float:
        """The weights of the linear modules."""
        return self.layers * (2 * self.hidden**2 + 2 * self.hidden * self.keys + 3 * self.hidden * self.inner)

    @property
    def weights(self) -> float:
        """Those of the embeddings and the head too."""
        return self.frozen + 2 * self.hidden * self.words

    @property
    def adapter(self) -> float:
        """The weights of a LoRA adapter: rank times inputs and outputs of each module."""
        sides = 4 * self.hidden + 2 * (self.hidden + self.keys) + 3 * (self.hidden + self.inner)
        return RANK * self.layers * sides

    def flop(self, tokens: float) -> float:
        """Of a token in training, in rows of so many of which half are learned."""
        attention = 12 * tokens / 2 * self.hidden * self.layers
        return 4 * self.frozen + 6 * self.adapter + attention + 2 * self.hidden * self.words


@dataclass(frozen=True)
class Line:
    """A row of the table: seconds, cards that are rented meanwhile, other money, and GB of memory with where."""

    step: str
    derivation: str
    seconds: float
    cards: float = 0
    usd: float = 0
    memory: str = ""


def read_rate(part: str, text: str) -> tuple[float, float, float, float]:
    """(rows, seconds, exponent, MB a 1,000 rows) of the largest size measured of a part, from docs/benchmarks.md."""
    header = re.search(r"^\| part \|(.*)\|$", text, re.M)
    row = re.search(rf"^\| {part} \|(.*)\| rows\^([\d.]+) \| ([\d.]+) MB \|$", text, re.M)
    if header is None or row is None:
        raise SystemExit(
            f"large_run: docs/benchmarks.md has no row {part} in its table Scale; run python -m bench.scale"
        )
    sizes = [float(size.replace(",", "")) for size in re.findall(r"(?:^|\|) ([\d,]+) rows", header[1])]
    cells = [re.match(r"\s*([\d.]+) s", cell) for cell in row[1].split("|")]
    size, seconds = next((size, cell[1]) for size, cell in reversed(list(zip(sizes, cells, strict=True))) if cell)
    return size, float(seconds), float(row[2]), float(row[3])


def derive(options: argparse.Namespace, text: str) -> Iterator[Line]:
    """The steps of the experiment, in order."""
    shape, texts = Shape(), options.rows / 2

    def measured(step: str, part: str, count: float, more: str = "", usd: float = 0) -> Line:
        size, seconds, exponent, memory = read_rate(part, text)
        told = f"{seconds:g} s for {size:,.0f}, times {count / size:g}^{exponent:g}{more}"
        return Line(step, told, seconds * (count / size) ** exponent, 0, usd, _tell_gb(count * memory / 1e6))

    yield measured("prepare", "prepare", texts)
    usd = texts * (ASKED * PRICE_IN + ANSWERED * PRICE_OUT) / 1e6
    prices = f"; {ASKED} tokens at {PRICE_IN} and {ANSWERED} at {PRICE_OUT:.2f} USD a million"
    yield measured("generate, the client's part", "generation", texts, prices, usd)
    yield measured("repair", "repair", texts)

    tokens = options.rows * options.tokens
    held = tokens * options.token_bytes * options.cards / 1e9
    yield Line(
        "finetune_2b, rows to tokens",
        f"{options.rows:,.0f} rows · {options.encode_ms:g} ms, in every process; {tokens / 1e9:g} billion tokens · "
        f"{options.token_bytes:g} bytes · {options.cards:g} processes",
        options.rows * options.encode_ms / 1000,
        options.cards,
        0,
        _tell_gb(held),
    )
    flop = shape.flop(options.tokens)
    rate = options.cards * options.peak * 1e12 * options.mfu / flop
    shard = 2 * shape.weights / options.cards / 1e9
    block = 2 * 2 * shape.frozen / shape.layers / 1e9
    adapter = 16 * shape.adapter / 1e9
    yield Line(
        "finetune_2b, training",
        f"{tokens / 1e9:g} billion tokens · {options.epochs:g} (epochs) · {flop / 1e9:,.0f} GFLOP / ({options.cards:g} cards · "
        f"{options.peak:g} TFLOP/s · {options.mfu:g})",
        tokens * options.epochs / rate,
        options.cards,
        0,
        f"{shard + block + adapter:,.0f} GB a card and activations: {shard:.1f} of weights, {block:.1f} of two blocks, "
        f"{adapter:.1f} of adapter and AdamW",
    )
    again = options.replayed * options.tokens
    yield Line("finetune_2c", f"the same with {options.replayed:,.0f} rows, 1 epoch", again / rate, options.cards)
    answers = 3 * options.prompts
    step = 2 * shape.weights / (options.cards * options.bandwidth * 1e12)
    yield Line(
        "answers of three models, on a server",
        f"{answers:,.0f} · {WRITTEN} tokens / {BATCH} together, each step reading {2 * shape.weights / 1e9:,.0f} GB at half of "
        f"{options.cards:g} · {options.bandwidth:g} TB/s",
        answers * WRITTEN / BATCH * step * 2,
        options.cards,
        0,
        f"{2 * shape.weights / options.cards / 1e9:.1f} GB a card, and keys and values",
    )
    yield measured("eval_3a", "scoring", options.prompts)


def _tell_gb(size: float) -> str:
    return f"{size:,.0f} GB" if size >= 1 else "under 1 GB"


def _tell_time(seconds: float) -> str:
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (172800, 3600, "h"), (float("inf"), 86400, "days")):
        if seconds < limit:
            return f"{seconds / size:.{0 if seconds / size >= 10 else 1}f} {unit}"
    raise ValueError(seconds)


def table(options: argparse.Namespace, text: str) -> str:
    """The lines as Markdown, the sum, and how many tokens a pass must have."""
    lines = list(derive(options, text))
    rented = sum(line.seconds for line in lines if line.cards) / 3600 * options.cards
    found = ["| step | derivation | time | USD | memory |", "| --- | --- | ---: | ---: | --- |"]
    for line in lines:
        usd = line.usd + line.seconds / 3600 * line.cards * options.price
        found.append(
            f"| {line.step} | {line.derivation} | {_tell_time(line.seconds)} | {f'{usd:,.0f}' if usd else '–'} | "
            f"{line.memory or 'as above'} |"
        )
    total = sum(line.usd for line in lines) + rented * options.price
    found.append(
        f"| all | {rented:,.0f} card-hours at {options.price:.2f} USD | {_tell_time(sum(line.seconds for line in lines))} | "
        f"{total:,.0f} | |"
    )
    shape = Shape()
    # forward and back, each process receives the others' part of every block
    moved = 2 * 2 * shape.weights * (1 - 1 / options.cards)
    busy = shape.flop(options.tokens) / (options.peak * 1e12 * options.mfu)
    least = moved / (options.link * 1e9) / busy
    found += [
        "",
        f"A pass moves {moved / 1e9:,.0f} GB of weights to each card, {moved / options.link / 1e9:.2f} s at {options.link:g} GB/s; "
        f"a card computes as long on {least:,.0f} tokens.",
    ]
    return "\n".join(found)


def measure(folder: Path, count: int = 1000) -> str:
    """Reads and encodes made-up rows as training does; milliseconds of one core a row, and bytes a token, texts included."""
    import time
    import tracemalloc

    from transformers import AutoTokenizer

    from bench.scale import text
    from relearn.chat import Chat
    from relearn.files import read_jsonl, write_jsonl
    from relearn.records import Row, make_turns
    from relearn.training.rows import EncodedRows, encode

    rng = random.Random(0)
    chat = Chat(AutoTokenizer.from_pretrained(folder), "")
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "rows.jsonl"
        made = (make_turns(text(rng, 100), text(rng, 100)) for _ in range(count))
        write_jsonl(
            file,
            (
                Row(id="id", task="task", role="new", group="id", split="train", messages=turns, tests=[])
                for turns in made
            ),
        )

        def read() -> tuple[list[list[Message]], EncodedRows]:
            rows = [row.messages for row in read_jsonl(file, Row)]
            return rows, encode(rows, chat, 10_000)

        begun = time.process_time()
        read()
        seconds = time.process_time() - begun
        tracemalloc.start()
        _, kept = read()
        held, _ = tracemalloc.get_traced_memory()
    tokens = sum(len(row.ids) for row in kept.rows)
    return f"{seconds / count * 1000:.2f} ms a row of {tokens / count:.0f} tokens, {held / tokens:.0f} bytes a token"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The assumptions, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, told in (
        ("rows", 1e7, "rows that 2b is trained on; the teacher writes two to a text"),
        ("replayed", 1e6, "rows that 2c is trained on"),
        ("prompts", 1e4, "held-out prompts"),
        ("tokens", 400, "tokens of a row"),
        ("epochs", 1, "of 2b"),
        ("cards", 8, "cards, a process each"),
        ("peak", 989, "TFLOP/s of a card in bf16: H100 SXM, dense, data sheet"),
        ("bandwidth", 3.35, "TB/s of a card's memory: the same data sheet"),
        ("link", 450, "GB/s into a card: half of NVLink's 900; 50 for a 400 Gbit/s network"),
        ("mfu", 0.35, "share of the peak that training reaches: assumed; bench.gpu_lora measures it"),
        ("price", 2.5, "USD a card-hour: assumed"),
        ("encode-ms", 1.4, "ms a row of one core, from text to tokens (--measure)"),
        ("token-bytes", 11, "bytes of memory a token, texts included (--measure)"),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=float, default=default, help=f"{told} ({default:g})")
    parser.add_argument(
        "--measure", type=Path, metavar="FOLDER", help="measure with the tokenizer of this folder instead"
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Prints the table, or what was measured."""
    options = parse()
    print(measure(options.measure) if options.measure else table(options, BENCHMARKS.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
