"""Intervals and tests over clusters. Knows numbers and clusters, and nothing of models or tasks."""
