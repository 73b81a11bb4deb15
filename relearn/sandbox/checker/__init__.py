"""What runs inside a sandbox, with the standard library only. `__main__` says how its parts work together."""
