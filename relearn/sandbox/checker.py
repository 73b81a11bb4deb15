"""What runs inside the sandbox: one generated program and its tests, in two processes.

Started by `sandbox.py` as a script, with the standard library only. It forks. The child defines the program and
answers calls to it; the parent, which never runs a line of it, evaluates the tests, each use of a name of the
program being a message to the child. The expected values stay in the parent, only plain data comes back, and the
verdict is the parent's alone: a program that ends early, patches `assert`, returns an object equal to everything,
or writes "passed" wherever it can, gains nothing.

What a test may do with an object that is not plain data (an instance of the program's class): call it, read and
set attributes, index, iterate, compare it and do arithmetic with other such objects. Comparing it with plain data is
False, and arithmetic with plain data an error: the program would decide what its own test says.

Input on stdin, two blocks (decimal length, newline, JSON): `{code, limits, guard}`, then `{tests}`, read only after the
fork. Output on stdout: `{passed, reason}`.
"""

# One file, longer than others here, because it is bound into the sandbox alone.
from __future__ import annotations

import builtins
import collections
import ctypes
import errno
import json
import os
import resource
import signal
import struct
import sys
from types import CodeType, ModuleType

# Each program starts this file anew: what is seldom needed (dates, fractions, typing) is imported when it is.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Json = Any

MAX_MESSAGE = 16 << 20
MAX_DEPTH = 60
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
MODULE = "solution"


class Failure(Exception):
    """The program is not right: why, in a few words."""


# ---------------------------------------------------------------- plain data over a pipe


def send(fd: int, value: Json) -> None:
    data = json.dumps(value).encode()
    if len(data) > MAX_MESSAGE:
        raise OverflowError("a value of more than 16 MiB")
    data = struct.pack(">Q", len(data)) + data
    while data:
        data = data[os.write(fd, data) :]


def receive(fd: int) -> Json:
    (size,) = struct.unpack(">Q", _exactly(fd, 8))
    if size > MAX_MESSAGE:
        raise EOFError("a message that is too long")
    return json.loads(_exactly(fd, size))


def _exactly(fd: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(fd, min(size, 1 << 20))
        if not part:
            raise EOFError("the program ended early")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def encode(value: Any, other: Callable[[Any], Json], depth: int = 0) -> Json:
    """Plain data as JSON; `other` says what stands for anything else."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")

    def deep(items: Any) -> list[Json]:
        return [encode(item, other, depth + 1) for item in items]

    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, tuple) and isinstance(getattr(kind, "_fields", None), tuple):
        return ["n", kind.__name__, [str(name) for name in kind._fields], *deep(tuple.__iter__(value))]
    if isinstance(value, list):
        return ["l", *deep(list.__iter__(value))]
    if isinstance(value, tuple):
        return ["t", *deep(tuple.__iter__(value))]
    if isinstance(value, dict):
        return ["d", *(deep(pair) for pair in dict.items(value))]
    if isinstance(value, frozenset):
        return ["f", *deep(frozenset.__iter__(value))]
    if isinstance(value, set):
        return ["s", *deep(set.__iter__(value))]
    if isinstance(value, collections.deque):
        return ["q", *deep(collections.deque.__iter__(value))]
    if kind in (bytes, bytearray):
        return ["b" if kind is bytes else "B", value.hex()]
    if kind is complex:
        return ["c", value.real, value.imag]
    if kind is range:
        return ["r", value.start, value.stop, value.step]
    if _is(value, "fractions", "Fraction"):
        return ["F", value.numerator, value.denominator]
    if _is(value, "decimal", "Decimal"):
        return ["D", str(value)]
    if any(_is(value, "datetime", name) for name in ("date", "time", "datetime")):
        return ["T", kind.__name__, value.isoformat()]
    if _is(value, "datetime", "timedelta"):
        return ["T", "timedelta", value.days, value.seconds, value.microseconds]
    return other(value)


def _is(value: Any, module: str, name: str) -> bool:
    return module in sys.modules and type(value) is getattr(sys.modules[module], name, None)


def decode(value: Json, other: Callable[[list[Json]], Any]) -> Any:
    """The value that `encode` wrote."""
    if not isinstance(value, list):
        return value
    tag, *rest = value
    if tag in CONTAINERS:
        return CONTAINERS[tag](decode(item, other) for item in rest)
    if tag == "d":
        return {decode(key, other): decode(item, other) for key, item in rest}
    if tag == "n":
        made = collections.namedtuple(rest[0], rest[1])  # type: ignore[misc]
        return made(*(decode(item, other) for item in rest[2:]))
    if tag == "b":
        return bytes.fromhex(rest[0])
    if tag == "B":
        return bytearray.fromhex(rest[0])
    if tag == "c":
        return complex(*rest)
    if tag == "r":
        return range(*rest)
    if tag == "F":
        import fractions

        return fractions.Fraction(*rest)
    if tag == "D":
        import decimal

        return decimal.Decimal(rest[0])
    if tag == "T":
        import datetime

        if rest[0] == "timedelta":
            return datetime.timedelta(*rest[1:])
        return getattr(datetime, rest[0]).fromisoformat(rest[1])
    return other(value)


CONTAINERS: dict[str, Callable[[Iterator[Any]], Any]] = {
    "l": list,
    "t": tuple,
    "s": set,
    "f": frozenset,
    "q": collections.deque,
}
MUTABLE = (list, dict, set, bytearray, collections.deque)


# ---------------------------------------------------------------- the child: runs the program, answers calls


class Child:
    """The program's side. Whatever the program does to this process, only plain data leaves it."""

    def __init__(self, requests: int, answers: int) -> None:
        self.requests, self.answers = requests, answers
        self.objects: dict[int, Any] = {}

    def run(self, code: str) -> None:
        module = ModuleType(MODULE)
        sys.modules[MODULE] = module
        try:
            exec(compile(code, "solution.py", "exec"), module.__dict__)
        except BaseException as error:  # noqa: BLE001 - SystemExit too is an answer
            send(self.answers, {"failed": _described(error)})
            return
        send(self.answers, {"names": [name for name in module.__dict__ if not name.startswith("__")]})
        while True:
            request = receive(self.requests)
            try:
                answer = self.answer(request, module)
            except BaseException as error:  # noqa: BLE001
                answer = {"raised": type(error).__name__, "bases": _bases(error), "text": _described(error)}
            try:
                send(self.answers, answer)
            except OverflowError as error:
                send(self.answers, {"raised": "OverflowError", "bases": [], "text": str(error)})

    def answer(self, request: Json, module: ModuleType) -> Json:
        if request["do"] == "name":
            return {"value": self.wrap(module.__dict__[request["name"]])}
        target = self.objects[request["object"]]
        arguments = [self.unwrap(item) for item in request.get("args", [])]
        keywords = {key: self.unwrap(item) for key, item in request.get("kwargs", {}).items()}
        value = OPERATIONS[request["do"]](target, *arguments, **keywords)
        changed = [self.wrap(item) if isinstance(item, MUTABLE) else None for item in arguments]
        return {"value": self.wrap(value), "args": changed}

    def wrap(self, value: Any) -> Json:
        return encode(value, self.reference)

    def reference(self, value: Any) -> Json:
        if isinstance(value, ModuleType):
            return ["m", value.__name__]
        self.objects[id(value)] = value
        return ["o", id(value), type(value).__name__]

    def unwrap(self, value: Json) -> Any:
        return decode(value, self.local)

    def local(self, value: list[Json]) -> Any:
        tag, number, *_ = value
        if tag == "o":
            return self.objects[number]

        def callback(*arguments: Any, **keywords: Any) -> Any:
            args = [self.wrap(item) for item in arguments]
            send(
                self.answers,
                {"callback": number, "args": args, "kwargs": {k: self.wrap(v) for k, v in keywords.items()}},
            )
            answer = receive(self.requests)
            if "raised" in answer:
                raise RuntimeError(answer["raised"])
            return self.unwrap(answer["value"])

        return callback


OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda target, *args, **kwargs: target(*args, **kwargs),
    "getattr": getattr,
    "setattr": setattr,
    "getitem": lambda target, key: target[key],
    "setitem": lambda target, key, value: target.__setitem__(key, value),
    "delitem": lambda target, key: target.__delitem__(key),
    "len": len,
    "iter": iter,
    "next": next,
    "bool": bool,
    "str": str,
    "repr": repr,
    "eq": lambda target, other: target == other,
    "lt": lambda target, other: target < other,
    "le": lambda target, other: target <= other,
    "gt": lambda target, other: target > other,
    "ge": lambda target, other: target >= other,
    "add": lambda target, other: target + other,
    "sub": lambda target, other: target - other,
    "mul": lambda target, other: target * other,
    "truediv": lambda target, other: target / other,
}


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:200]}"


def _bases(error: BaseException) -> list[str]:
    return [base.__name__ for base in type(error).__mro__]


# ---------------------------------------------------------------- the parent: evaluates the tests


class Remote:
    """An object of the program that is not plain data."""

    __slots__ = ("_kind", "_number", "_session")

    def __init__(self, session: Session, number: int, kind: str) -> None:
        object.__setattr__(self, "_session", session)
        object.__setattr__(self, "_number", number)
        object.__setattr__(self, "_kind", kind)

    def _do(self, what: str, *args: Any, **kwargs: Any) -> Any:
        return self._session.ask(what, self._number, args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._do("call", *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return self._do("getattr", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._do("setattr", name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._do("getitem", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._do("setitem", key, value)

    def __delitem__(self, key: Any) -> None:
        self._do("delitem", key)

    def __len__(self) -> int:
        return int(self._do("len"))

    def __iter__(self) -> Any:
        return self._do("iter")

    def __next__(self) -> Any:
        return self._do("next")

    def __contains__(self, wanted: Any) -> bool:
        return any(item is wanted or item == wanted for item in self)

    def __bool__(self) -> bool:
        return bool(self._do("bool"))

    def __str__(self) -> str:
        return str(self._do("str"))

    def __repr__(self) -> str:
        return str(self._do("repr"))

    def __hash__(self) -> int:
        return hash(self._number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and (other._number == self._number or self._do("eq", other) is True)

    def _with(self, what: str, other: object) -> Any:
        return self._do(what, other) if isinstance(other, Remote) else NotImplemented

    def __lt__(self, other: object) -> Any:
        return self._with("lt", other)

    def __le__(self, other: object) -> Any:
        return self._with("le", other)

    def __gt__(self, other: object) -> Any:
        return self._with("gt", other)

    def __ge__(self, other: object) -> Any:
        return self._with("ge", other)

    def __add__(self, other: object) -> Any:
        return self._with("add", other)

    def __sub__(self, other: object) -> Any:
        return self._with("sub", other)

    def __mul__(self, other: object) -> Any:
        return self._with("mul", other)

    def __truediv__(self, other: object) -> Any:
        return self._with("truediv", other)


class Session:
    """The tests' side of the pipe."""

    def __init__(self, requests: int, answers: int) -> None:
        self.requests, self.answers = requests, answers
        self.callbacks: list[Any] = []

    def ask(
        self, what: str, number: int, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        request = {
            "do": what,
            "object": number,
            "args": [self.wrap(item) for item in args],
            "kwargs": {key: self.wrap(item) for key, item in (kwargs or {}).items()},
        }
        answer = self.exchange(request)
        for mine, theirs in zip(args, answer.get("args") or [], strict=False):
            if theirs is not None and isinstance(mine, MUTABLE):
                _replace(mine, self.unwrap(theirs))
        return self.unwrap(answer["value"])

    def exchange(self, request: Json) -> Any:
        send(self.requests, request)
        while True:
            answer = receive(self.answers)
            if "callback" not in answer:
                break
            try:
                function = self.callbacks[answer["callback"]]
                value = function(
                    *(self.unwrap(item) for item in answer["args"]),
                    **{key: self.unwrap(item) for key, item in answer["kwargs"].items()},
                )
                send(self.requests, {"value": self.wrap(value)})
            except Exception as error:  # noqa: BLE001 - a test's own function failed: the program sees it
                send(self.requests, {"raised": _described(error)})
        if "raised" in answer:
            raise _exception(answer)
        return answer

    def name(self, name: str) -> Any:
        return self.unwrap(self.exchange({"do": "name", "name": name})["value"])

    def wrap(self, value: Any) -> Json:
        return encode(value, self.reference)

    def reference(self, value: Any) -> Json:
        if isinstance(value, Remote):
            return ["o", value._number]
        if callable(value):
            self.callbacks.append(value)
            return ["k", len(self.callbacks) - 1]
        if hasattr(type(value), "__next__"):
            return encode(list(value), self.reference)
        raise TypeError(f"a test hands over a {type(value).__name__}, which cannot be sent to the program")

    def unwrap(self, value: Json) -> Any:
        return decode(value, self.remote)

    def remote(self, value: list[Json]) -> Any:
        tag, number, *rest = value
        if tag == "m":
            root = str(number).partition(".")[0]
            if root not in sys.stdlib_module_names:
                raise ImportError(f"{root} is not of the standard library")
            __import__(number)
            return sys.modules[number]
        return Remote(self, int(number), str(rest[0]) if rest else "object")


def _replace(mine: Any, theirs: Any) -> None:
    """What the program did to an argument in place, done to the test's own object."""
    if isinstance(mine, list | bytearray) and isinstance(theirs, list | bytearray):
        mine[:] = theirs
    elif isinstance(mine, dict | set | collections.deque) and isinstance(theirs, type(mine)):
        mine.clear()
        (mine.extend if isinstance(mine, collections.deque) else mine.update)(theirs)


def _exception(answer: Json) -> BaseException:
    """The nearest built-in kind of what the program raised, so that a test may expect it."""
    for name in [answer["raised"], *answer.get("bases", [])]:
        kind = getattr(builtins, str(name), None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(answer["text"])
            except TypeError:  # UnicodeDecodeError and the like want more
                continue
    return RuntimeError(answer["text"])


class Names(dict):  # type: ignore[type-arg]
    """The tests' globals: their own names, then the program's, then built-ins.

    A built-in that the program redefines is the program's only where the tests use none of its other names, as for a
    task that asks for a function called `sum`; otherwise `set` or `len` in a test could be made to lie.
    """

    def __init__(self, session: Session, names: list[str], tests: list[str]) -> None:
        super().__init__(__name__="tests")
        self.session, self.names = session, set(names)
        used = {name for test in tests for name in _names(_compiled(test))} & self.names
        if used - set(dir(builtins)):
            self.names -= set(dir(builtins))

    def __missing__(self, name: str) -> Any:
        if name not in self.names:
            raise KeyError(name)
        return self.session.name(name)


def _compiled(test: str) -> CodeType:
    try:
        return compile(test, "test", "exec")
    except SyntaxError as error:
        raise Failure(f"a test is not Python: {error.msg}") from None


def _names(code: CodeType) -> set[str]:
    """Every global and attribute that a piece of code mentions."""
    found = set(code.co_names)
    for part in code.co_consts:
        if isinstance(part, CodeType):
            found |= _names(part)
    return found


def check(session: Session, tests: list[str]) -> None:
    """Runs the tests in order; Failure, or whatever a test raises, when one does not pass."""
    ready = receive(session.answers)
    if "failed" in ready:
        raise Failure(str(ready["failed"]))
    names = Names(session, [str(name) for name in ready["names"]], tests)
    for number, test in enumerate(tests, 1):
        try:
            exec(_compiled(test), names)
        except (EOFError, BrokenPipeError):
            raise Failure(f"test {number}: the program ended early") from None
        except BaseException as error:  # noqa: BLE001
            raise Failure(f"test {number}: {_described(error)}") from None


# ---------------------------------------------------------------- limits

_libc = ctypes.CDLL(None, use_errno=True)
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_CLONE_THREAD = 0x10000
# Calls that reach beyond the process: network, new processes and programs, signals, tracing, mounts, namespaces, keys,
# shared memory that outlives its maker.
_DENIED = {
    "x86_64": (
        0xC000003E,
        """socket=41 connect=42 accept=43 sendto=44 sendmsg=46 bind=49 listen=50 fork=57 vfork=58 execve=59 execveat=322
        kill=62 tkill=200 rt_sigqueueinfo=129 rt_tgsigqueueinfo=297 pidfd_send_signal=424 pidfd_open=434
        pidfd_getfd=438 ptrace=101 process_vm_readv=310 process_vm_writev=311 kcmp=312 setpgid=109 setsid=112
        mknod=133 mknodat=259 personality=135 pivot_root=155 chroot=161 mount=165 umount2=166 unshare=272 setns=308
        init_module=175 finit_module=313 bpf=321 userfaultfd=323 perf_event_open=298 io_uring_setup=425
        add_key=248 request_key=249 keyctl=250 name_to_handle_at=303 open_by_handle_at=304
        shmget=29 semget=64 msgget=68 mq_open=240""",
        {"clone": 56, "clone3": 435, "tgkill": 234, "prlimit": 302},
    ),
    "aarch64": (
        0xC00000B7,
        """socket=198 connect=203 accept=202 sendto=206 sendmsg=211 bind=200 listen=201 execve=221 execveat=281
        kill=129 tkill=130 rt_sigqueueinfo=138 rt_tgsigqueueinfo=240 pidfd_send_signal=424 pidfd_open=434
        pidfd_getfd=438 ptrace=117 process_vm_readv=270 process_vm_writev=271 kcmp=272 setpgid=154 setsid=157
        mknodat=33 personality=92 pivot_root=41 chroot=51 mount=40 umount2=39 unshare=97 setns=268
        init_module=105 finit_module=273 bpf=280 userfaultfd=282 perf_event_open=241 io_uring_setup=425
        add_key=217 request_key=218 keyctl=219 name_to_handle_at=264 open_by_handle_at=265
        shmget=194 semget=190 msgget=186 mq_open=180""",
        {"clone": 220, "clone3": 435, "tgkill": 131, "prlimit": 261},
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def seccomp() -> bool:
    """Has the kernel refuse, from here on, what `_DENIED` lists (EPERM); False where it cannot be set up.

    Needs no privilege, and holds where rlimits do not: the limit on processes is not applied to root.
    """
    machine = _DENIED.get(os.uname().machine)
    if machine is None:
        return False
    arch, denied, special = machine
    load, jump_equal, jump_set, jump_more, ret = 0x20, 0x15, 0x45, 0x35, 0x06
    refuse, missing = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    code: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),
        (jump_equal, 1, 0, arch),
        (ret, 0, 0, _KILL),
        (load, 0, 0, 0),
        (jump_more, 0, 1, 0x40000000),
        (ret, 0, 0, _KILL),
    ]
    for number in (int(call.partition("=")[2]) for call in denied.split()):
        code += [(jump_equal, 0, 1, number), (ret, 0, 0, refuse)]
    code += [(jump_equal, 0, 1, special["clone3"]), (ret, 0, 0, missing)]
    code += [(jump_equal, 0, 3, special["clone"]), (load, 0, 0, 16), (jump_set, 1, 0, _CLONE_THREAD)]
    code += [(ret, 0, 0, refuse), (load, 0, 0, 0)]
    code += [(jump_equal, 0, 4, special["tgkill"]), (load, 0, 0, 16), (jump_equal, 1, 0, os.getpid())]
    code += [(ret, 0, 0, refuse), (load, 0, 0, 0)]
    code += [(jump_equal, 0, 4, special["prlimit"]), (load, 0, 0, 16), (jump_equal, 1, 0, 0)]
    code += [(ret, 0, 0, refuse), (load, 0, 0, 0)]
    code += [(ret, 0, 0, _ALLOW)]
    packed = b"".join(struct.pack("=HBBI", *line) for line in code)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    program = _Program(len(code), ctypes.cast(buffer, ctypes.c_void_p))
    if _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(_libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0) == 0)


def limit(limits: dict[str, int]) -> None:
    """rlimits of this process and those it starts: CPU seconds, memory, file size, open files, processes."""
    pairs = (
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_AS, limits["memory_mb"] << 20),
        (resource.RLIMIT_FSIZE, limits["file_mb"] << 20),
        (resource.RLIMIT_NOFILE, limits["files"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_CORE, 0),
    )
    for what, value in pairs:
        _, hard = resource.getrlimit(what)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (value, value))


def guard(scratch: str) -> None:
    """Where there is no bubblewrap: an audit hook that refuses files outside the scratch folder and the library.

    A determined program can get around a hook in its own process; this is what best effort means.
    """
    library = tuple(os.path.realpath(path) + os.sep for path in (*sys.path, sys.prefix) if path)
    scratch = os.path.realpath(scratch) + os.sep
    writes = [0]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], str | bytes):
            path = os.path.realpath(os.fsdecode(args[0]))
            mode, flags = args[1], args[2] if len(args) > 2 else 0
            writing = any(c in str(mode or "") for c in "wax+") or bool(
                (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            )
            if path.startswith(scratch) or path in {"/dev/null", "/dev/urandom"}:
                writes[0] += writing
                if writes[0] > 64:
                    raise PermissionError("too many files written")
            elif writing or not path.startswith(library):
                raise PermissionError(f"outside the sandbox: {path}")
        elif (
            event.split(".")[0]
            in {
                "socket",
                "subprocess",
                "ctypes",
                "shutil",
                "pty",
                "webbrowser",
                "winreg",
            }
            or event in REFUSED
        ):
            raise PermissionError(f"not allowed in the sandbox: {event}")
        elif event in LISTING or event in TOUCHING:
            path = os.path.realpath(os.fsdecode(args[0] or ".")) + os.sep
            if path.startswith(scratch) or (event in LISTING and path.startswith(library)):
                return
            raise PermissionError(f"outside the sandbox: {args[0]!r}")

    sys.addaudithook(hook)


REFUSED = {
    *("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.kill", "os.killpg"),
    *("os.symlink", "os.link", "os.chroot", "os.putenv", "os.setxattr", "signal.pthread_kill"),
}
TOUCHING = {
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.truncate", "os.utime"),
    "os.chdir",
}
LISTING = {"os.listdir", "os.scandir", "os.walk"}


# ---------------------------------------------------------------- both together


def _block() -> Json:
    head = b""
    while not head.endswith(b"\n"):
        head += _exactly(0, 1)
    return json.loads(_exactly(0, int(head)))


def main() -> None:
    """Reads a program and its tests, and writes the verdict."""
    first = _block()
    os.environ.clear()
    limit(first["limits"])
    _libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # the child must not read or write this process's memory
    request_read, request_write = os.pipe()
    answer_read, answer_write = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _become_child(first, parent, request_read, answer_write)
    os.close(request_read)
    os.close(answer_write)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    verdict = {"passed": True, "reason": ""}
    try:
        check(Session(request_write, answer_read), _block()["tests"])
    except (EOFError, BrokenPipeError):
        verdict = {"passed": False, "reason": "the program ended early"}
    except BaseException as error:  # noqa: BLE001 - whatever went wrong, the program has not passed
        reason = str(error) if isinstance(error, Failure) else _described(error)
        verdict = {"passed": False, "reason": reason[:300]}
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if (
        not verdict["passed"]
        and os.WIFSIGNALED(status)
        and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGXFSZ)
    ):
        verdict["reason"] = (
            "out of CPU time" if os.WTERMSIG(status) == signal.SIGXCPU else "wrote too large a file"
        )
    os.write(1, json.dumps(verdict).encode())
    os._exit(0)


def _become_child(first: Json, parent: int, requests: int, answers: int) -> None:
    try:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        sys.setrecursionlimit(5_000)
        sys.dont_write_bytecode = True
        seccomp()
        if first["guard"]:
            guard(os.getcwd())
        Child(requests, answers).run(first["code"])
    finally:
        os._exit(1)


if __name__ == "__main__":
    sys.set_int_max_str_digits(0)
    main()
