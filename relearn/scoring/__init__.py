"""Text and code metrics, likelihood, sandboxed execution, resampling, forgetting, probes."""
