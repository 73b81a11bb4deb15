"""Servers as the world has them, each with one deviation: what is answered, and what repair makes of it.

The server is a program of the shared cases, which are not part of this repository.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.generation import options
from bench.scratch import ROOT, ask_pairs, make_source
from relearn.endpoint.asking import ask
from relearn.endpoint.journal import Journal
from relearn.endpoint.request import Address
from relearn.endpoint.tally import Tally
from relearn.errors import InputError
from relearn.params.repair import TaskRepair
from relearn.records import NewRow
from relearn.repair.json import load_task_schema
from relearn.repair.replies import ReplyRepairer, ReplyTask
from relearn.teacher import asking

TEXTS = [f"{'The Silver Sea' if number == 7 else f'Film {number}'} was about boats, and good." for number in range(12)]
SOURCES = [make_source(f"r{number}", text) for number, text in enumerate(TEXTS)]
ROWS = [{"name": name, "instruction": f"{name}: {{text}}", "response": name} for name in ("agree", "disagree")]
# Of each mode: requests sent, rows kept, and why the others were quarantined.
ANSWERED = {
    "ok": (12, 24, {}),
    "max_completion_tokens": (14, 24, {}),
    "choice_error": (24, 24, {}),
    "choice_error_empty": (24, 24, {}),
    "abort_finish": (24, 24, {}),
    "max_tokens_finish": (24, 24, {}),
    "MAX_TOKENS_closed": (24, 24, {}),
    "moderation_403": (12, 22, {"content_filter": 2}),
    "dashscope_inspect": (12, 22, {"content_filter": 2}),
    "groq_json_validate": (19, 24, {}),
    "null_content_reasoning": (12, 0, {"only_reasoning": 24}),
    "tool_call": (12, 0, {"empty": 24}),
    "content_object": (12, 24, {}),
    "surrogate": (12, 12, {"half_character": 12}),
    "surrogate_escaped": (12, 12, {"half_character": 12}),
    "think": (12, 24, {}),
    "think_unpaired": (12, 24, {}),
    "parts_thinking": (12, 24, {}),
    "completion_text": (12, 24, {}),
    "message_content_nested": (12, 24, {}),
    "length_empty": (24, 0, {"only_reasoning": 24}),
    "no_content_key": (24, 24, {}),
    "usage_missing": (12, 24, {}),
    "usage_floats": (12, 24, {}),
    "nan_body": (12, 24, {}),
    "nul": (12, 24, {}),
    "ratelimit_iso": (12, 24, {}),
    "ratelimit_dup": (12, 24, {}),
    "loading": (18, 24, {}),
    "retry_bad": (24, 24, {}),
    "retry_negative": (24, 24, {}),
    "retry_huge": (24, 24, {}),
}
STOPPED = {
    "error_200": "Rate limit exceeded: free-models-per-day; run again tomorrow",
    "error_200_auth": "check the key",
    "gemini_bad_key": "check the key",
    "deepseek_model": "Model Not Exist; check generate.model",
    "sse": "10 requests in a row failed, the last with not_json",
}


@contextmanager
def serve(folder: Path, mode: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = folder / "server" / "deviant_server.py"
    child = subprocess.Popen([sys.executable, str(program), mode, str(port), "120"], stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        child.kill()
        child.wait()


Generated = tuple[Tally, list[NewRow], dict[str, int], list[str]]


@pytest.fixture
def generate(shared_cases: Path, tmp_path: Path) -> Callable[[str], Generated]:
    """(the tally, the rows, the reasons of quarantine, its contents) of a mode. InputError when the run stops."""

    def run(mode: str) -> Generated:
        changes = {"attempts": 4, "timeout_s": 5.0, "price_input": 0.0, "price_output": 0.0}
        group = options(1 if mode == "max_completion_tokens" else 4).model_copy(update=changes)
        questions, tally = ask_pairs(SOURCES, group), Tally()
        schema = load_task_schema(ROOT / "prompts" / "agree_disagree.json")[1]
        rules = TaskRepair.model_validate({"rows": ROWS, "checks": []})
        task = ReplyTask("reviews", schema, rules, ["text"])
        with serve(shared_cases, mode) as url, Journal(tmp_path / "journal.sqlite") as journal:
            address = Address.of(url, "key", "test")
            ask(questions, address, asking.make_settings(group), journal, tally, "test", "requests")
            asking.refuse_unanswered(tally, "the log")
            repairer = ReplyRepairer({"reviews": task}, "drop", "drop", None)
            replies = asking.read_replies(questions, address, journal, {})
            found = list(repairer.repair_all(zip(replies, SOURCES, strict=True)))
        kept = [NewRow.model_validate(json.loads(row.line)) for row in found if row.split is not None]
        refused = [json.loads(row.line)["content"] for row in found if row.split is None]
        return tally, kept, repairer.ledger.as_dict()["reasons"], refused

    return run


@pytest.mark.parametrize("mode", ANSWERED)
def test_a_server_that_deviates_is_answered(mode: str, generate: Callable[[str], Generated]) -> None:
    tally, kept, reasons, refused = generate(mode)
    assert (tally.sent, len(kept), reasons) == ANSWERED[mode]
    assert all(row.response.startswith(("Yes, I agree", "No, I disagree")) for row in kept)
    if mode in ("null_content_reasoning", "tool_call"):
        assert all("I disagree with you about number" in raw for raw in refused)
    if "surrogate" in mode:
        assert all("\\ud83d" in raw for raw in refused)
    if reasons == {"content_filter": 2}:
        assert [label for label, _ in tally.refused] == ["r7"]


@pytest.mark.parametrize("mode", STOPPED)
def test_a_server_that_cannot_be_asked_stops_the_run_in_one_line(
    mode: str, generate: Callable[[str], Generated]
) -> None:
    with pytest.raises(InputError) as caught:
        generate(mode)
    assert STOPPED[mode] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["gemini_429", "retry_date"])
def test_a_wait_that_a_server_asks_for_is_kept(mode: str, generate: Callable[[str], Generated]) -> None:
    started = time.monotonic()
    tally, kept, _, _ = generate(mode)
    assert (tally.sent, len(kept)) == (24, 24)
    assert time.monotonic() - started > 2
