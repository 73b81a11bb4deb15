"""relearn: measures what a fine-tune makes a language model forget, and what replaying old data brings back.

The library knows records, never paths of the repository: `stages/` reads parameters and inputs, calls the library, and
writes the outputs.
"""
