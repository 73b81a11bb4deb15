"""A model that says of two answers which is better: which pairs it is shown, how it is asked, and how it is read."""
