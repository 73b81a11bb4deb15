"""`python -m relearn.repair`: the other name of the `relearn` subcommand."""

import sys

from relearn.repair.command import main

if __name__ == "__main__":
    sys.exit(main())
