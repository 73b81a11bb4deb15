"""Reads the records in a text, however broken its JSON is."""
