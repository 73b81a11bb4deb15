"""vLLM as a child process: how it is started, what it is asked, what it cannot serve, and that it never outlives its stage.

A small program is in vLLM's place; tests/integration/test_vllm.py runs the real one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from relearn.chat import Chat
from relearn.decoding import vllm
from relearn.decoding.endpoint import make_settings
from relearn.decoding.items import Prompt
from relearn.endpoint.request import Address
from relearn.errors import InputError
from relearn.params.predict import VllmBackend
from relearn.records import make_turns
from tests.unit import tiny

ROOT = Path(__file__).parents[3]
ITEMS = [
    Prompt(make_turns("Say one."), 8, "one"),
    Prompt(make_turns("Say."), 8, None),
    Prompt(make_turns("Say two then three."), 8, "two three"),
]
HOW = make_settings(2, 10.0, 2)
LORA: dict[str, Any] = {
    "peft_type": "LORA", "r": 4, "bias": "none", "use_dora": False, "init_lora_weights": True,
    "target_modules": ["q_proj"],
}  # fmt: skip


@pytest.fixture(scope="module")
def chat() -> Chat:
    return Chat(tiny.tokenizer(), tiny.TEMPLATE)


@pytest.fixture
def python(tmp_path: Path) -> str:
    """A program in the place of vLLM's Python."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/unit/decoding/fake_vllm.py "$@"\n')
    program.chmod(0o755)
    return str(program)


def backend(python: str | None, **changes: Any) -> VllmBackend:
    values = {
        "tensor_parallel": 1,
        "arguments": [],
        "start_s": 60.0,
        "concurrency": 2,
        "timeout_s": 10.0,
        "attempts": 2,
    }
    return VllmBackend.model_validate({"kind": "vllm", "python": python, **values, **changes})


def adapter(folder: Path, **changes: Any) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({**LORA, **changes}))
    return folder


@contextmanager
def started(folder: Path, chat: Chat, asked: VllmBackend, adapters: dict[str, Path] | None = None) -> Iterator[Address]:
    with vllm.serve(folder / "weights", adapters or {}, chat, asked, "bf16", 99, folder / "log") as address:
        yield address


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """The processes of the server."""
    file = tmp_path / "pids"
    monkeypatch.setenv("FAKE_PIDS", str(file))
    return lambda: [int(pid) for pid in file.read_text().split()] if file.exists() else []


def test_vllm_gets_the_weights_the_adapters_and_what_the_profile_says(tmp_path: Path, python: str, chat: Chat) -> None:
    adapters = {
        "one": adapter(tmp_path / "one"),
        "two": adapter(tmp_path / "two", r=8, rank_pattern={"q_proj": 20}, target_modules=["mlp.up"]),
    }
    asked = backend(python, tensor_parallel=2, arguments=["--enforce-eager"])
    with started(tmp_path, chat, asked, adapters):
        words = (tmp_path / "log" / "vllm.log").read_text().splitlines()[0]
    assert words.startswith(f"-m vllm.entrypoints.cli.main serve {tmp_path}/weights --host 127.0.0.1 --port ")
    assert "--dtype bfloat16 --tensor-parallel-size 2 --max-model-len 99 " in words
    modules = " ".join(json.dumps({"name": name, "path": str(path)}) for name, path in adapters.items())
    assert words.endswith(
        f"--enable-lora --max-lora-rank 32 --lora-target-modules q_proj up --lora-modules {modules} --enforce-eager"
    )
    assert (tmp_path / "log" / "chat_template.jinja").read_text() == tiny.TEMPLATE


def test_likelihoods_are_of_the_reference_and_its_end_alone_and_are_kept(
    tmp_path: Path, python: str, chat: Chat
) -> None:
    with started(tmp_path, chat, backend(python)) as address:
        found = vllm.score(address, "m2", chat, ITEMS, HOW, "test", tmp_path / "kept")
    assert found == [2.0 * len(chat.encode_response("one")), None, 2.0 * len(chat.encode_response("two three"))]
    assert vllm.score(address, "m2", chat, ITEMS, HOW, "test", tmp_path / "kept") == found  # of nobody


def test_a_server_without_likelihoods_of_a_prompt_is_one_line(
    tmp_path: Path, python: str, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE", "forgets")
    with (
        started(tmp_path, chat, backend(python)) as address,
        pytest.raises(InputError, match="test: the server gave no prompt_logprobs"),
    ):
        vllm.score(address, "m2", chat, ITEMS, HOW, "test")


def test_a_prompt_that_the_server_renders_otherwise_is_refused(
    tmp_path: Path, python: str, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TOKENS", json.dumps(chat.encode_prompt(ITEMS[0].messages)))
    with started(tmp_path, chat, backend(python)) as address:
        vllm.check_template(address, chat, ITEMS[0])
        with pytest.raises(InputError, match=r"vLLM renders a prompt otherwise than .*'Say two then three.'"):
            vllm.check_template(address, chat, ITEMS[2])


def test_a_template_with_a_date_gets_the_profiles(tmp_path: Path, python: str) -> None:
    dated = Chat(tiny.tokenizer(), tiny.TEMPLATE)
    dated.template, dated.today = "{{ strftime_now('%d %b %Y') }}", datetime(2026, 1, 31)
    with started(tmp_path, dated, backend(python)):
        pass
    assert (tmp_path / "log" / "chat_template.jinja").read_text() == '{{ "31 Jan 2026" }}'


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["embed_tokens"]}, "modules saved whole"),
        ({"trainable_token_indices": [3]}, "trained tokens"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"bias": "all"}, "biases"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights pissa"),
        ({"target_modules": ["q_proj", "lm_head"]}, "changes of lm_head"),
        ({"r": 1024}, "rank 1024, above 512"),
    ],
)
def test_an_adapter_that_vllm_does_not_serve_is_named(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=f"does not serve mine, whose adapter has {named} .*use backend local"):
        vllm.read_adapter(adapter(tmp_path / "a", **changes), "mine")


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"python": None}, "vLLM is not installed in this environment"),
        ({"python": "no/such/python"}, "predict.backend.python: no/such/python: no such program"),
        ({"arguments": ["--port=9"]}, "predict.backend.arguments: --port=9 is set from the profile; remove it"),
    ],
)
def test_a_mistake_in_the_profile_starts_nothing(
    tmp_path: Path, python: str, chat: Chat, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], mistake: str
) -> None:
    monkeypatch.setattr(vllm, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=mistake), started(tmp_path, chat, backend(**{"python": python, **changes})):
        pytest.fail("it started")
    assert not (tmp_path / "log" / "vllm.log").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("mode", "start_s", "mistake"),
    [
        ("dies", 60.0, "ended before it answered: ValueError: No module named vllm "),
        ("hangs", 3.0, "did not answer within 3 s: "),
    ],
)
def test_a_server_that_does_not_start_is_one_line_with_its_last_and_leaves_nothing(
    tmp_path: Path, python: str, chat: Chat, pids: Callable[[], list[int]], monkeypatch: pytest.MonkeyPatch,
    mode: str, start_s: float, mistake: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("FAKE", mode)
    with pytest.raises(InputError, match=mistake) as raised, started(tmp_path, chat, backend(python, start_s=start_s)):
        pytest.fail("it started")
    assert "\n" not in str(raised.value)
    assert str(tmp_path / "log" / "vllm.log") in str(raised.value)
    wait_for(lambda: not any(map(alive, pids())))


def test_a_server_that_dies_while_it_is_asked_is_named(
    tmp_path: Path, python: str, chat: Chat, pids: Callable[[], list[int]]
) -> None:
    def ask() -> None:
        with started(tmp_path, chat, backend(python)) as address:
            os.kill(pids()[0], signal.SIGKILL)
            vllm.score(address, "m", chat, ITEMS, HOW, "test")

    with pytest.raises(InputError, match="ended while it was asked"):
        ask()
    wait_for(lambda: not any(map(alive, pids())))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_whatever_is_raised_nothing_is_left(
    tmp_path: Path, python: str, chat: Chat, pids: Callable[[], list[int]], error: type[BaseException]
) -> None:
    def ask() -> None:
        with started(tmp_path, chat, backend(python)):
            assert len(pids()) == 2
            assert all(map(alive, pids()))
            raise error

    with pytest.raises(error):
        ask()
    wait_for(lambda: not any(map(alive, pids())))


STAGE = """
import sys, time
from pathlib import Path
from relearn.decoding.own_server import find_free_port, keep_running
import os
command = [sys.argv[1], "--port", str(find_free_port())]
pids = Path(os.environ["FAKE_PIDS"])
with keep_running("a", command, {**os.environ, "VLLM_API_KEY": "k"}, Path(sys.argv[2]), pids.exists, 60.0):
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("whom", ["stage", "keeper"])
def test_a_kill_of_the_stage_or_the_keeper_leaves_no_server(
    tmp_path: Path, python: str, pids: Callable[[], list[int]], whom: str
) -> None:
    stage = subprocess.Popen(
        [sys.executable, "-c", STAGE, python, str(tmp_path / "log")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    wait_for(lambda: len(pids()) == 2)
    server, engine = pids()
    if whom == "stage":
        stage.kill()
        stage.wait()
        wait_for(lambda: not alive(engine))
    else:
        os.kill(int(Path(f"/proc/{server}/stat").read_text().rsplit(")", 1)[1].split()[1]), signal.SIGKILL)
    wait_for(lambda: not alive(server))
    stage.kill()
    stage.wait()
    if alive(engine):
        os.kill(engine, signal.SIGKILL)
