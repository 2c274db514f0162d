"""MLDG: a step on some sources that also serves the others."""
