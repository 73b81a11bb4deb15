"""Reviews and instructions: from files, from the hub; splits and decontamination."""

from relearn.data.load import load, tally

__all__ = ["load", "tally"]
