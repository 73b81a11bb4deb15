"""One module a stage: read parameters and inputs, call the library, write outputs. Only here are paths known."""

import os
import signal
import sys
from pathlib import Path

from relearn.launched import end_with_launcher, is_worker
from relearn.workers import end_with


def die_with_parent() -> None:
    """Asks the kernel to end this process when its parent ends.

    SIGKILL on dvc would otherwise leave the stage writing while the next `dvc repro` starts it again.
    """
    parent = os.getppid()
    end_with(parent)
    if sys.platform == "linux" and _adopted(parent):  # it ended before the request was in place
        os.kill(os.getpid(), signal.SIGKILL)


def _adopted(parent: int) -> bool:
    """Whether dvc started this process and init has it now."""
    if parent != 1 or "DVC_STAGE" not in os.environ:
        return False
    return b"dvc" not in Path("/proc/1/cmdline").read_bytes()  # in a container dvc itself may be the first process


# Under dvc, and among several processes, as early as can be: the imports that follow take seconds, in which dvc, or
# what started the processes, may be killed.
if is_worker():
    end_with_launcher()
elif "DVC_STAGE" in os.environ:
    die_with_parent()

# How long a thread of torch spins for the next piece of work, set before torch is loaded. On two cores, without
# spinning a third of the speed is lost to waking threads up; with the default's long spin, training stalls beside
# any other busy process. `OMP_NUM_THREADS` and the like stay the user's.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
