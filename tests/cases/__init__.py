"""Inputs that once went wrong, a builder a file, and tests that try them."""
