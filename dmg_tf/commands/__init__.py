"""The programs, one a file."""
