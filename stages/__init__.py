"""One module a stage: read parameters and inputs, call the library, write outputs. Only here are paths known."""

import os

# How long a thread of torch spins for the next piece of work, set before torch is loaded. On two cores, without
# spinning a third of the speed is lost to waking threads up; with the default's long spin, training stalls beside
# any other busy process. `OMP_NUM_THREADS` and the like stay the user's.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
