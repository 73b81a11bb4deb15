"""The table, the forgetting and the probes for models that someone already has, without the pipeline."""
