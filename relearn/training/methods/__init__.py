"""What a round trains on besides the new task's rows: one remedy a file."""
