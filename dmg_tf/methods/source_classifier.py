"""What methods that tell the domains apart have in common."""

import keras
import tensorflow as tf

from dmg_tf.backbones.blocks import linear
from dmg_tf.methods.steps import cross_entropies, mean_loss


def dense_layers(name: str, fan_in: int, widths, seed: int) -> keras.Sequential:
    """Returns built dense layers with ReLUs between them.

    Args:
        name: What it is called; layers are called by it and their number.
        fan_in: Number of inputs.
        widths: Number of outputs of each layer, the last one included.
        seed: Seed of the initial weights, which are PyTorch's.
    """
    layers, inputs = [], fan_in
    for index, width in enumerate(widths):
        if index:
            layers.append(keras.layers.ReLU())
        layers.append(linear(f"{name}.{index}", inputs, width, seed))
        inputs = width
    network = keras.Sequential(layers, name=name)
    network.build((None, fan_in))
    return network


def domain_loss(domain_ids, logits, weights=None):
    """Returns the mean cross entropy of domains, a float32 scalar.

    Args:
        domain_ids: int32 [B].
        logits: float32 [B, D].
        weights: float [B], how much each image counts, or None.
    """
    return mean_loss(cross_entropies(domain_ids, logits), weights)


def over_space(features):
    """Returns the mean over space of a map [B, H, W, K], or [B, K] as it is."""
    space = list(range(1, len(features.shape) - 1))
    return tf.reduce_mean(features, space) if space else features


def ramp(share):
    """Returns 2 / (1 + exp(-10 share)) - 1, from 0 up to almost 1.

    Ganin and Lempitsky, ICML 2015, Sec. 4 (the schedule of λ).

    Args:
        share: float32 scalar in [0, 1], how much of the run is done.
    """
    return 2.0 / (1.0 + tf.exp(-10.0 * share)) - 1.0
