"""The weights that a training begins with."""
