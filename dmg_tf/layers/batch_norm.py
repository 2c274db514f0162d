"""Batch normalisation as PyTorch computes it, on TensorFlow's fused kernel."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("dmg_tf")
class FusedBatchNorm(keras.layers.Layer):
    """Normalises each channel over batch and space, in one kernel.

    PyTorch's constants: epsilon 1e-5, and running statistics that move by 0.1
    of the batch's mean and unbiased variance a step. Keras' own layer
    normalises with separate operations, which is slower on every device.

    Args:
        epsilon: Added to the variance.
        momentum: Share of the old running statistics that is kept; PyTorch's
            momentum of 0.1 is 0.9 here.
        scale: Whether gamma learns; it stays at one otherwise.
        center: Whether beta learns; it stays at zero otherwise.

    Call arguments:
        inputs: [B, H, W, C], any float type. Statistics are float32.
        training: Whether to use the batch's statistics and move the running
            ones.

    Attributes:
        frozen: Whether the running statistics are used in training too, and do
            not move; scale and offset learn all the same.

    Weights:
        gamma, beta: float32 [C], trainable where asked, from ones and zeros.
        moving_mean, moving_variance: float32 [C], not trainable.

    Raises:
        ValueError: If the input is not of rank 4.
    """

    def __init__(
        self,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        scale: bool = True,
        center: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.momentum = momentum
        self.scale = scale
        self.center = center
        self.frozen = False

    def build(self, input_shape):
        """Makes scale, offset and running statistics of the last axis."""
        if len(input_shape) != 4:
            raise ValueError(
                "FusedBatchNorm takes [B, H, W, C], got shape "
                f"{tuple(input_shape)}"
            )

        def weight(name, initializer, **kwargs):
            return self.add_weight(
                name=name,
                shape=(input_shape[-1],),
                dtype="float32",
                initializer=initializer,
                autocast=False,
                **kwargs,
            )

        self.gamma = weight("gamma", "ones", trainable=self.scale)
        self.beta = weight("beta", "zeros", trainable=self.center)
        # Each replica normalises with its own rows' statistics; what it would
        # move the running ones to is averaged, so that all keep the same.
        running = {"trainable": False, "aggregation": "mean"}
        self.moving_mean = weight("moving_mean", "zeros", **running)
        self.moving_variance = weight("moving_variance", "ones", **running)

    def call(self, inputs, training=False):
        """Returns the normalised activations, of the shape of `inputs`."""
        if not training or self.frozen:
            return self._kernel(
                inputs, self.moving_mean, self.moving_variance, False
            )[0]
        empty = tf.zeros([0], tf.float32)
        outputs, mean, variance = self._kernel(inputs, empty, empty, True)
        # The kernel returns the unbiased variance (n / (n - 1) applied), which
        # is what PyTorch keeps: nothing to correct.
        for running, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            running.assign(
                running * self.momentum + batch * (1.0 - self.momentum)
            )
        return outputs

    def _kernel(self, inputs, mean, variance, is_training):
        return tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=tf.convert_to_tensor(mean),
            variance=tf.convert_to_tensor(variance),
            epsilon=self.epsilon,
            is_training=is_training,
        )[:3]

    def compute_output_shape(self, input_shape):
        """Returns the input's shape."""
        return input_shape

    def get_config(self):
        """Returns the arguments that rebuild the layer."""
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "scale": self.scale,
            "center": self.center,
        }


def batch_norms(layers) -> list[FusedBatchNorm]:
    """Returns the batch normalisation layers within some layers, each once."""
    found = {
        id(part): part
        for layer in layers
        for part in layer._flatten_layers()
        if isinstance(part, FusedBatchNorm)
    }
    return list(found.values())
