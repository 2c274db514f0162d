"""Folders that one process at a time writes, and whose files are known."""
