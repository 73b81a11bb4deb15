"""What a score is made of: text, code, likelihood and tests, one metric a file."""
