"""Predictions: local batches, or an endpoint."""
