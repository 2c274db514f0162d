"""The cross entropy with smoothed labels."""

import keras

from dmg_tf.methods.steps import cross_entropies


@keras.saving.register_keras_serializable("dmg_tf")
class CrossEntropy(keras.losses.Loss):
    """Cross entropy of logits with int labels or shares, labels smoothed.

    A label of C classes becomes (1 - s) times itself plus s / C everywhere.
    Source: Szegedy et al., "Rethinking the Inception Architecture for Computer
    Vision", CVPR 2016, Sec. 7.

    Args:
        label_smoothing: s, in [0, 1).
        **kwargs: As for `keras.losses.Loss`.
    """

    def __init__(self, label_smoothing: float = 0.0, **kwargs):
        kwargs.setdefault("reduction", "sum_over_batch_size")
        super().__init__(**kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        """Returns the loss of each image, float32 [B].

        Args:
            y_true: int [B], or float [B, C] of shares.
            y_pred: float32 [B, C], logits.
        """
        if len(y_true.shape) < len(y_pred.shape):
            y_true = keras.ops.cast(y_true, "int32")  # Keras made them floats
        own = cross_entropies(y_true, y_pred)
        if not self.label_smoothing:
            return own
        smoothing = self.label_smoothing
        even = -keras.ops.mean(keras.ops.log_softmax(y_pred), axis=-1)
        return (1.0 - smoothing) * own + smoothing * even

    def get_config(self):
        """Returns the arguments that rebuild the loss."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
