"""The parameters as one frozen, validated tree: `params.yaml` (what is swept) and one profile (everything else).

A file a stage states its keys with their units, bounds and rules; `tree` puts the groups together; `load` reads the
two files, `wording` words the errors, and `moves` says where keys of earlier versions are now.
"""

from relearn.params.load import load
from relearn.params.tree import Params

__all__ = ["Params", "load"]
