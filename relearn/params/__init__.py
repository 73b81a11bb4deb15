"""The parameters as one frozen, validated tree: `params.yaml` (what is swept) and one profile (everything else).

`groups` states every key with its unit, bounds and rule; `load` reads the two files and words the errors. No
other module reads a parameter file.
"""

from relearn.params.groups import Params
from relearn.params.load import load

__all__ = ["Params", "load"]
