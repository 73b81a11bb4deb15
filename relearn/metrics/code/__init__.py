"""What counts as code in a model's answer."""
