"""From a teacher's raw replies to clean rows: locate, read, check, deduplicate."""
