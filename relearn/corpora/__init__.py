"""Reviews and instructions from files or from the hub: reading, splits, decontamination."""
