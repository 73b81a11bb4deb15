"""Sample logs that evaluation tools have written: one module a format, one record for all of them.

Logs are hostile: `bounds` limits what is read, nothing is unpacked to disk, and nothing in a log is run.
"""
