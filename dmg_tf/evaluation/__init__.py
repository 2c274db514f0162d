"""Scoring a model: predictions, accuracy, agreement of domains."""
