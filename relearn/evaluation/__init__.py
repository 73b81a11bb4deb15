"""From answers to the 3a table: scores, forgetting and recovery, probes, ratings."""
