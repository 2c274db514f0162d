"""Numbers on predictions; NumPy alone."""
