"""`python -m relearn.compare`: the other name of the `relearn` subcommand."""

import sys

from relearn.compare.command import main

if __name__ == "__main__":
    sys.exit(main())
