"""One module a stage: read parameters and inputs, call the library, write outputs. Only here are paths known."""
