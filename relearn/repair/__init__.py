"""From a teacher's raw replies to clean rows: locate, read, check, deduplicate.

`relearn repair` runs it on any dump of replies, without the pipeline.
"""
