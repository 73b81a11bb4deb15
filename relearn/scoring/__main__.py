"""`python -m relearn.scoring`: the other name of the `relearn` subcommand."""

import sys

from relearn.evaluation.command import main

if __name__ == "__main__":
    sys.exit(main())
