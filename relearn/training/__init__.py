"""Training: chat rows to masked tokens, a small model from scratch, LoRA rounds."""
