"""A metric a file: `METRIC` of each says its label, what it reads, and how it scores. `metric.py` finds them."""
