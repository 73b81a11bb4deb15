"""Any OpenAI-compatible server: the client, its limits, and the journal of what was answered."""
