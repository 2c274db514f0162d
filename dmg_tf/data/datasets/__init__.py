"""Datasets on disk: which images there are, and how they are split."""
