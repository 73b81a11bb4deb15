"""The remedies, one a file; `relearn.training.method` says what one is."""
