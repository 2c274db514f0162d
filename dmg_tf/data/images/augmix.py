"""AugMix (Hendrycks et al., ICLR 2020): chains of operations, mixed.

`keras.layers.AugMix` is not used: it picks its operations by Python's `random`
where a graph is traced, which then are those of all images.
"""

import math
from typing import NamedTuple

import tensorflow as tf

from dmg_tf.data.images import operations as of

_CHAINS = 3
_DEEPEST = 3
_SEVERITY = 3  # of 10
# Of an operation: which, how strong, which sign.
_OF_STEP = 3
_NUMBERS = 1 + _CHAINS * (2 + _DEEPEST * _OF_STEP)


class Draws(NamedTuple):
    """What is drawn for an image.

    Attributes:
        share: float32, of the mixed chains in the result.
        weights: float32 [3], of each chain; their sum is 1.
        depths: int32 [3], operations of each chain, from 1.
        steps: float32 [3, 3, 3] in [0, 1): of each operation of each chain
            which it is, how strong, which sign.
    """

    share: tf.Tensor
    weights: tf.Tensor
    depths: tf.Tensor
    steps: tf.Tensor


def draw(numbers) -> Draws:
    """Returns what is drawn by two numbers, float32 [2 or more] in [0, 1)."""
    # Two that make many: there are not as many of the image's own.
    seed = tf.bitcast(numbers[:2], tf.int32)
    drawn = tf.random.stateless_uniform([_NUMBERS], seed)
    chains = tf.reshape(drawn[1:], [_CHAINS, -1])
    # Exponential draws over their sum are Dirichlet(1, 1, 1).
    weights = -tf.math.log(1.0 - chains[:, 0])
    return Draws(
        drawn[0],
        weights / tf.reduce_sum(weights),
        1 + tf.cast(chains[:, 1] * _DEEPEST, tf.int32),
        tf.reshape(chains[:, 2:], [_CHAINS, _DEEPEST, _OF_STEP]),
    )


def aug_mix(image, numbers):
    """Mixes an image with chains of operations on it.

    Sec. 3, Algorithm 1: with chains c_i of one to three operations, weights w
    ~ Dirichlet(1, 1, 1) and m ~ Beta(1, 1) the result is (1 - m) x + m Σ w_i
    c_i(x). Operations and severity, 3, are those of the authors' code. Differs:
    the loss between three such images of one (Jensen-Shannon) is left out, so
    that any method can learn from them; values between operations are not
    rounded.

    Args:
        image: float32 [S, S, 3] in [0, 255].
        numbers: float32 [2 or more] in [0, 1), which all is a function of.

    Returns:
        float32 [S, S, 3] in [0, 255].
    """
    drawn, mixed = draw(numbers), tf.zeros_like(image)
    for chain in range(_CHAINS):
        steps = drawn.steps[chain]
        _, changed = tf.while_loop(
            lambda turn, _, chain=chain: turn < drawn.depths[chain],
            lambda turn, x, steps=steps: (turn + 1, _step(x, steps[turn])),
            (tf.constant(0), image),
        )
        mixed += drawn.weights[chain] * changed
    return image + drawn.share * (mixed - image)


def _step(image, numbers):
    which, strength, sign = tf.unstack(numbers)
    # The authors' levels begin at 0.1.
    level = (0.1 + (_SEVERITY - 0.1) * strength) / 10
    sign = tf.where(sign < 0.5, -1.0, 1.0)
    return tf.switch_case(
        tf.cast(which * len(OPERATIONS), tf.int32),
        [
            lambda op=operation: op(image, level, sign)
            for operation in OPERATIONS.values()
        ],
    )


def _pixels(image, level, sign):
    side = tf.cast(tf.shape(image)[0], tf.float32)
    return sign * tf.floor(level * side / 3)


# {name: (image, level, sign) -> image}; a level is in [0.01, 1], a sign -1 or
# 1.
OPERATIONS = {
    "auto_contrast": lambda image, level, sign: of.auto_contrast(image),
    "equalize": lambda image, level, sign: of.equalize(image),
    "posterize": lambda image, level, sign: of.posterize(
        image, 4 - tf.cast(4 * level, tf.int32)
    ),
    "rotate": lambda image, level, sign: of.rotate(
        image, sign * tf.floor(30 * level) * (math.pi / 180), "bilinear"
    ),
    "solarize": lambda image, level, sign: of.solarize(
        image, 256 - tf.floor(256 * level)
    ),
    "shear_x": lambda image, level, sign: of.shear(
        image, sign * 0.3 * level, 0, "bilinear"
    ),
    "shear_y": lambda image, level, sign: of.shear(
        image, 0, sign * 0.3 * level, "bilinear"
    ),
    # By whole pixels, so that the nearest is what lies there.
    "translate_x": lambda image, level, sign: of.shift(
        image, _pixels(image, level, sign), 0
    ),
    "translate_y": lambda image, level, sign: of.shift(
        image, 0, _pixels(image, level, sign)
    ),
}
