"""`python -m relearn.scoring`: the other name of `relearn score`."""
