"""Where there is no bubblewrap: an audit hook that refuses files outside the scratch folder and the library."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # importing typing would cost every program its time
if TYPE_CHECKING:
    from typing import Any

REFUSED = {
    *("os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.kill", "os.killpg"),
    *("os.symlink", "os.link", "os.chroot", "os.putenv", "os.setxattr", "signal.pthread_kill"),
}
TOUCHING = {
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.truncate", "os.utime"),
    "os.chdir",
}
LISTING = {"os.listdir", "os.scandir", "os.walk"}


def set_guard(scratch: str) -> None:
    """Sets the hook, which cannot be taken back.

    A determined program can get around a hook in its own process; this is what best effort means.
    """
    library = tuple(os.path.realpath(path) + os.sep for path in (*sys.path, sys.prefix) if path)
    scratch = os.path.realpath(scratch) + os.sep
    writes = [0]

    def hook(event: str, args: tuple[Any, ...]) -> None:
        family = event.split(".")[0]
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
        elif event in REFUSED or family in {"socket", "subprocess", "ctypes", "shutil", "pty", "webbrowser"}:
            raise PermissionError(f"not allowed in the sandbox: {event}")
        elif event in LISTING or event in TOUCHING:
            path = os.path.realpath(os.fsdecode(args[0] or ".")) + os.sep
            if path.startswith(scratch) or (event in LISTING and path.startswith(library)):
                return
            raise PermissionError(f"outside the sandbox: {args[0]!r}")

    sys.addaudithook(hook)
