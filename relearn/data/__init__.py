"""Texts and rows: from files, from the hub; splits and decontamination."""

from relearn.data.load import Corpora, load

__all__ = ["Corpora", "load"]
