"""A tf.data service that prepares training images."""
