"""Mixes the images of a batch, and their labels: MixUp and CutMix.

Keras' layers mix; what they would draw from a state is drawn here from a key.
"""

import keras
import tensorflow as tf

from dmg_tf.layers.replica_random import NUMBERS_OF_BETA, beta_of


class Mixing:
    """How a batch is mixed.

    `mixup`: λ x_i + (1 - λ) x_j. Zhang et al., "mixup: Beyond Empirical Risk
    Minimization", ICLR 2018. `cutmix`: x_i with a box of x_j, whose sides are
    sqrt(1 - λ) of the image's before what lies outside is cut off. Yun et al.,
    "CutMix", ICCV 2019, Sec. 3. Labels are mixed by the share of each image,
    of `cutmix` the share of the pixels.

    Differs: there is a λ ~ Beta(α, α) an image, not one a batch. What
    `keras.layers.CutMix` draws is not the paper's: it draws α too, and its
    labels follow the box before it is cut to whole pixels.

    Args:
        kind: "mixup" or "cutmix".
        alpha: α.
        num_classes: Number of classes C.
        within_domains: Whether an image is mixed with one of its own domain.
    """

    def __init__(
        self, kind: str, alpha: float, num_classes: int, within_domains: bool
    ):
        self._alpha = alpha
        self._num_classes = num_classes
        self._within_domains = within_domains
        layer = {"mixup": keras.layers.MixUp, "cutmix": keras.layers.CutMix}
        # In float32 whatever the model computes in.
        self._layer = layer[kind](data_format="channels_last", dtype="float32")
        self._cuts = kind == "cutmix"

    def __call__(self, key, inputs, labels):
        """Mixes a batch.

        Args:
            key: int64 [2], what all that is drawn is a function of.
            inputs: {"image": float32 [B, ...], of cutmix [B, H, W, 3];
                "domain_ids": int32 [B]}.
            labels: int32 [B].

        Returns:
            (inputs with mixed images, float32 [B, C] of shares). The domain of
            an image is that of the first of its two.
        """
        images, domain_ids = inputs["image"], inputs["domain_ids"]
        count = tf.shape(labels)[0]
        each = NUMBERS_OF_BETA[0] * NUMBERS_OF_BETA[1]
        drawn = tf.random.stateless_uniform([count, each + 3], key)
        numbers, lots, centre = tf.split(drawn, [each, 1, 2], axis=1)
        numbers = tf.reshape(numbers, [-1, *NUMBERS_OF_BETA])
        groups = domain_ids
        if not self._within_domains:
            groups = tf.zeros_like(domain_ids)
        transformation = {
            "mix_weight": beta_of(self._alpha, numbers),
            "permutation_order": partners(lots[:, 0], groups),
        }
        if self._cuts:
            masks = boxes(transformation["mix_weight"], centre, images.shape)
            area = tf.reduce_mean(tf.cast(masks, tf.float32), axis=[1, 2, 3])
            transformation |= {"batch_masks": masks, "mix_weight": 1.0 - area}
            mixed = self._layer.transform_images(images, transformation)
        else:
            # The layer takes images alone, and kernels are slow on a last axis
            # of length 3.
            flat = tf.reshape(images, [count, 1, 1, -1])
            flat = self._layer.transform_images(flat, transformation)
            mixed = tf.reshape(flat, tf.shape(images))
        labels = tf.one_hot(labels, self._num_classes)
        labels = self._layer.transform_labels(labels, transformation)
        mixed = tf.ensure_shape(mixed, images.shape)
        return {**inputs, "image": mixed}, labels


def partners(lots, groups):
    """Returns the rows that rows are mixed with: an order within each group.

    Args:
        lots: float32 [B], which the order is made of.
        groups: int32 [B].

    Returns:
        int32 [B], each row once. Alone in its group it is its own partner.
    """
    own = tf.argsort(groups, stable=True)
    drawn = tf.argsort(lots)
    drawn = tf.gather(drawn, tf.argsort(tf.gather(groups, drawn), stable=True))
    # Both have the groups one after the other: place by place.
    return tf.gather(drawn, tf.argsort(own))


def boxes(shares, centres, shape):
    """Returns which pixels are another image's, bool [B, H, W, 1].

    Args:
        shares: float32 [B], λ.
        centres: float32 [B, 2] in [0, 1), down and right.
        shape: Of the images, [B, H, W, 3].
    """
    inside = []
    for axis in (0, 1):
        size = shape[1 + axis]
        side = tf.floor(tf.sqrt(1.0 - shares) * size)
        centre = tf.floor(centres[:, axis] * size)
        half = tf.floor(side / 2)
        places = tf.range(size, dtype=tf.float32)
        inside.append(
            (places >= (centre - half)[:, tf.newaxis])
            & (places < (centre + half)[:, tf.newaxis])
        )
    down, right = inside
    return (down[:, :, tf.newaxis] & right[:, tf.newaxis])[..., tf.newaxis]
