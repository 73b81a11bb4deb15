"""`relearn plan`: what an experiment could show and what it costs, before it runs."""
