"""Attacks on runs, files and images, bounded and by seed; prints counts."""
