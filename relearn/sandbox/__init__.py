"""Runs generated programs against their tests, where they can do no harm."""
