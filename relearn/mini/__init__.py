"""The embedded default: its corpora, its teacher, made on the spot under a seed."""
