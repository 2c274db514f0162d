"""A run folder as it lies there; read without TensorFlow."""
