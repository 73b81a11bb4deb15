"""What the teacher is asked, how, and what it costs."""
