"""Images as tf.data streams, for training and for evaluation."""
