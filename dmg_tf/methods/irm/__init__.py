"""IRM: one classifier that is the best in each domain."""
