"""Epi-FCR: a network whose halves work with partners of other domains."""
