"""The sandbox: real reference solutions pass, hostile programs fail and leave nothing behind, with and without bwrap."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from relearn.errors import InputError
from relearn.sandbox import runner as sandbox
from relearn.sandbox.runner import Job, ProgramLimits, Verdict

LIMITS = ProgramLimits(cpu_s=1, memory_mb=256)
GOOD = "def f(x):\n    return x + 1\n"
TESTS = ["assert f(1) == 2", "assert f(41) == 42"]
MARK = "relearn-left-behind"

# Each would pass the tests, or do harm, were it not contained.
HOSTILE = {
    "fork bomb": "import os\nwhile True:\n    os.fork()\n" + GOOD,
    "fork bomb that goes on": "import os\ntry:\n    while True:\n        os.fork()\nexcept OSError:\n    raise SystemExit(0)\n"
    + GOOD,
    "processes": "import subprocess, sys\nfor _ in range(100):\n    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])\n"
    + GOOD,
    "memory bomb": "data = []\nwhile True:\n    data.append(bytearray(10_000_000))\n" + GOOD,
    "one large block": "data = bytearray(8 << 30)\n" + GOOD,
    "endless loop": "while True:\n    pass\n" + GOOD,
    "endless loop when called": "def f(x):\n    while True:\n        pass\n",
    "sleeping": "import time\ntime.sleep(600)\n" + GOOD,
    "kill the parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n" + GOOD,
    "kill everything": "import os, signal\nos.kill(-1, signal.SIGKILL)\n" + GOOD,
    "kill the group": "import os, signal\nos.killpg(0, signal.SIGKILL)\n" + GOOD,
    "read a password file": "text = open('/etc/passwd').read()\n" + GOOD,
    "read a file outside": "text = open({secret!r}).read()\n" + GOOD,
    "list a folder outside": "import os\nnames = os.listdir({home!r})\n" + GOOD,
    "write a file outside": "open({outside!r}, 'w').write('x')\n" + GOOD,
    "delete a file outside": "import os\nos.remove({secret!r})\n" + GOOD,
    "open a socket": "import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=1)\n" + GOOD,
    "bind a socket": "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\n" + GOOD,
    "fill the disk": "with open('big', 'wb') as file:\n    while True:\n        file.write(bytes(1 << 20))\n" + GOOD,
    "fill the disk with many files": "n = 0\nwhile True:\n    open(f'f{{n}}', 'wb').write(bytes(1 << 20))\n    n += 1\n"
    + GOOD,
    "print without end": "while True:\n    print('x' * 1000)\n" + GOOD,
    "exit 0 early": "import sys\nsys.exit(0)\n" + GOOD,
    "leave at once": "import os\nos._exit(0)\n" + GOOD,
    "leave when called": "import os\ndef f(x):\n    os._exit(0)\n",
    "claim success": 'import os\nfor fd in range(20):\n    try:\n        os.write(fd, b\'{{"passed": true, "reason": ""}}\')\n    except OSError:\n        pass\nos._exit(0)\n',
    "claim success in the protocol": 'import os, struct\nbody = b\'{{"value": 2, "names": ["f"]}}\'\nfor fd in range(3, 20):\n    try:\n        os.write(fd, struct.pack(\'>Q\', len(body)) + body)\n    except OSError:\n        pass\nimport time\ntime.sleep(600)\n',
    "equal to everything": "class Any:\n    def __eq__(self, other):\n        return True\n    def __ne__(self, other):\n        return False\ndef f(x):\n    return Any()\n",
    "a subclass equal to everything": "class Any(int):\n    def __eq__(self, other):\n        return True\n    __hash__ = int.__hash__\ndef f(x):\n    return Any(0)\n",
    "patch the checker": "import builtins, sys\nbuiltins.AssertionError = type('Nothing', (Exception,), {{}})\nfor module in list(sys.modules.values()):\n    for name in ('run_tests', 'run', 'main', 'send', 'NotPassed'):\n        if hasattr(module, name):\n            setattr(module, name, lambda *a, **k: True)\ndef f(x):\n    return 0\n",
    "patch the tests' built-ins": "import builtins\nbuiltins.__build_class__ = None\nbuiltins.abs = lambda x: 2\ndef f(x):\n    return 0\n",
    "read the answers": "import gc, sys\nframe = sys._getframe()\nwhile frame:\n    for value in list(frame.f_locals.values()):\n        if 'assert' in repr(value):\n            found = value\n    frame = frame.f_back\nassert found\n",
    "read the checker's memory": "open(f'/proc/{{__import__(\"os\").getppid()}}/mem', 'rb').read(1)\n" + GOOD,
    "a tracer": "import sys\nsys.settrace(lambda *a: None)\ndef f(x):\n    return 0\n",
    "threads": "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(600,)).start()\n"
    + GOOD,
    "deep recursion": "def f(x):\n    return f(x)\n",
    "a crash": "import ctypes\nctypes.string_at(0)\n" + GOOD,
    "a huge answer": "def f(x):\n    return 'x' * (200 << 20)\n",
    "a nested answer": "def f(x):\n    value = []\n    for _ in range(100_000):\n        value = [value]\n    return value\n",
    "not Python": "I agree with this review.",
}


@pytest.fixture(params=["bubblewrap", "rlimits"])
def prefix(request: pytest.FixtureRequest) -> tuple[str, ...] | None:
    if request.param == "rlimits":
        return None
    found = sandbox.bubblewrap()
    if found is None:
        pytest.skip("no working bubblewrap here; the rlimits half of these tests runs")
    return found


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def everything(jobs: list[Job], prefix: tuple[str, ...] | None, limits: ProgramLimits) -> list[Verdict]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda job: sandbox.run(job, limits, prefix), jobs))


def test_a_right_and_a_wrong_program(prefix: tuple[str, ...] | None) -> None:
    assert sandbox.run(Job(GOOD, TESTS), LIMITS, prefix) == Verdict(True, "")
    wrong = sandbox.run(Job("def f(x):\n    return x\n", TESTS), LIMITS, prefix)
    assert not wrong.passed
    assert wrong.reason.startswith("test 1: AssertionError")


def is_left_by_this_worker(process: psutil.Process) -> bool:
    """Whether the process runs on, and none of pytest-xdist's other workers, which all have one parent, started it."""
    try:
        above = {parent.pid for parent in process.parents()}
    except psutil.NoSuchProcess:
        return False
    return os.getpid() in above or os.getppid() not in above or "PYTEST_XDIST_WORKER" not in os.environ


def test_hostile_programs_fail_and_leave_nothing(
    prefix: tuple[str, ...] | None,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    listener: int,
) -> None:
    tmp_path, scratch = tmp_path_factory.mktemp("outside"), tmp_path_factory.mktemp("scratch")
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    secret = tmp_path / "secret.txt"
    secret.write_text("x")
    outside = tmp_path / MARK
    before = {process.pid for process in psutil.process_iter()}
    values = {"secret": str(secret), "outside": str(outside), "home": str(tmp_path), "port": listener}
    jobs = [Job(code.format(**values), TESTS) for code in HOSTILE.values()]  # hence the doubled braces
    started = time.monotonic()
    verdicts = everything(jobs, prefix, LIMITS)
    assert time.monotonic() - started < 120
    passed = [name for name, verdict in zip(HOSTILE, verdicts, strict=True) if verdict.passed]
    assert passed == []
    assert secret.read_text() == "x"
    assert not outside.exists()
    assert list(scratch.glob("relearn-sandbox-*")) == []
    time.sleep(0.3)
    mine = [
        process
        for process in psutil.process_iter(["ppid", "cmdline"])
        if process.pid not in before
        and "checker/__main__.pyc" in " ".join(process.info["cmdline"] or [])
        and is_left_by_this_worker(process)
    ]
    assert mine == []


def test_an_interrupted_run_leaves_no_process(prefix: tuple[str, ...] | None) -> None:
    job = Job("import time\ntime.sleep(600)\n", TESTS)
    verdict = sandbox.run(job, ProgramLimits(0.1, 256), prefix)
    assert verdict.reason == "out of time"
    children = psutil.Process().children(recursive=True)
    assert [child for child in children if child.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        ("def f(items):\n    items.sort()\n", ["a = [3, 1]\nf(a)\nassert a == [1, 3]"]),
        (
            "def f(n):\n    for i in range(n):\n        yield i\n",
            ["assert list(f(3)) == [0, 1, 2]", "assert sum(f(4)) == 6"],
        ),
        ("def f(g, x):\n    return g(g(x))\n", ["assert f(lambda v: v + 1, 1) == 3"]),
        (
            "def f(x):\n    raise ValueError('no')\n",
            ["try:\n    f(1)\n    assert False\nexcept ValueError as e:\n    assert 'no' in str(e)"],
        ),
        (
            "class Stack:\n    def __init__(self):\n        self.items = []\n    def push(self, x):\n        self.items.append(x)\n    def __len__(self):\n        return len(self.items)\n",
            ["s = Stack()\ns.push(3)\nassert s.items == [3] and len(s) == 1"],
        ),
        ("def sum(a, b):\n    return a + b\n", ["assert sum(1, 2) == 3"]),
        (
            "from collections import Counter, namedtuple\nP = namedtuple('P', 'x y')\ndef f(t):\n    return Counter(t), P(1, 2)\n",
            ["c, p = f('aab')\nassert c == {'a': 2, 'b': 1} and p.x == 1 and p == (1, 2)"],
        ),
        (
            "def f():\n    return {1, 2}, frozenset({3}), b'a', 1 + 2j, float('inf'), range(3), None, 10 ** 5000\n",
            ["assert f() == ({1, 2}, frozenset({3}), b'a', 1 + 2j, float('inf'), range(3), None, 10 ** 5000)"],
        ),
        ("import math\ndef f(r):\n    return math.pi * r * r\n", ["assert math.isclose(f(1), math.pi)"]),
        (
            "import datetime\nfrom fractions import Fraction\ndef f():\n    return datetime.date(2020, 1, 2), Fraction(1, 3)\n",
            [
                "from datetime import date\nfrom fractions import Fraction\nassert f() == (date(2020, 1, 2), Fraction(1, 3))"
            ],
        ),
        (
            "class V:\n    def __init__(self, x):\n        self.x = x\n    def __add__(self, o):\n        return V(self.x + o.x)\n    def __eq__(self, o):\n        return self.x == o.x\n",
            ["assert V(1) + V(2) == V(3)", "assert not V(1) == V(2)"],
        ),
        (
            "import asyncio\nasync def g(x):\n    return x + 1\ndef f(x):\n    return asyncio.run(g(x))\n",
            ["assert f(1) == 2"],
        ),
        ("open('note', 'w').write('hello')\ndef f():\n    return open('note').read()\n", ["assert f() == 'hello'"]),
        ("def f(s):\n    return sorted(set(s))\n", ["assert f('hello') == ['e', 'h', 'l', 'o']"]),
    ],
)
def test_honest_programs_of_many_kinds_pass(prefix: tuple[str, ...] | None, code: str, tests: list[str]) -> None:
    if prefix is None and "asyncio" in code:
        pytest.skip("best effort refuses sockets, which an event loop needs")
    assert sandbox.run(Job(code, tests), ProgramLimits(5, 512), prefix) == Verdict(True, "")


def test_a_lying_builtin_is_not_believed(prefix: tuple[str, ...] | None) -> None:
    code = "def set(x):\n    return 0\ndef f(x):\n    return x\n"
    assert not sandbox.run(Job(code, ["assert set(f([1])) == set([2])"]), LIMITS, prefix).passed


def test_the_program_sees_no_environment(prefix: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "sesame")
    code = "import os\ndef f():\n    return dict(os.environ)\n"
    assert sandbox.run(Job(code, ["assert f() == {}"]), LIMITS, prefix).passed


def test_sets_come_in_the_same_order_every_time(prefix: tuple[str, ...] | None) -> None:
    code = "def f():\n    return list({'a', 'b', 'c', 'd', 'e', 'f'})\n"
    first = ["a", "b", "c", "d", "e", "f"]
    verdicts = {sandbox.run(Job(code, [f"assert f() == {first}"]), LIMITS, prefix).passed for _ in range(6)}
    assert len(verdicts) == 1


def test_strict_refuses_without_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "bubblewrap", lambda: None)
    with pytest.raises(InputError, match="strict needs a working bubblewrap"):
        sandbox.run_all([Job(GOOD, TESTS)], LIMITS, "strict")


def test_best_effort_without_bubblewrap_warns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sandbox, "bubblewrap", lambda: None)
    sandbox._warn.cache_clear()
    assert sandbox.run_all([Job(GOOD, TESTS)], LIMITS, "best_effort")[0].passed
    assert "warning: no working bubblewrap" in capsys.readouterr().err


def test_the_supervisor_killed_takes_the_program_along() -> None:
    if sandbox.bubblewrap() is None:
        pytest.skip("no working bubblewrap here")
    script = (
        "from relearn.sandbox.runner import *\n"
        "run(Job('import time\\ntime.sleep(99.125)\\n', []), ProgramLimits(30, 256), bubblewrap())\n"
    )
    process = subprocess.Popen(["python", "-c", script], env={**os.environ, "PYTHONPATH": os.getcwd()})
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not _inside(process.pid):
        time.sleep(0.1)
    inside = _inside(process.pid)
    assert inside
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(inside, timeout=10)
    assert alive == []


def _inside(pid: int) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it can end between the list and the look
            if "checker/__main__.pyc" in " ".join(child.cmdline()) and "bwrap" not in child.name():
                found.append(child)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("data", ["humaneval", "mbpp"])
def test_reference_solutions_pass(prefix: tuple[str, ...] | None, shared_data: Path, data: str) -> None:
    if data == "humaneval":
        lines = (shared_data / "humaneval" / "HumanEval.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        jobs = [
            Job(row["prompt"] + row["canonical_solution"], [f"{row['test']}\ncheck({row['entry_point']})"])
            for row in rows
        ]
    else:
        rows = json.loads((shared_data / "mbpp" / "sanitized-mbpp.json").read_text())
        jobs = [Job(row["code"], [*row["test_imports"], *row["test_list"]]) for row in rows]
    verdicts = everything(jobs, prefix, ProgramLimits(20, 1024))
    assert [(i, v.reason) for i, v in enumerate(verdicts) if not v.passed] == []
    assert len(jobs) == {"humaneval": 164, "mbpp": 427}[data]
