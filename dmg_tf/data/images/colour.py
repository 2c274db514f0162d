"""Colour changes of images in [0, 255], as Pillow and torchvision do them.

Rows of pixels are handled as [H, W * 3]: the kernels are several times slower
on a last axis of length 3.
"""

import numpy as np
import tensorflow as tf

# Grey from RGB as Pillow computes it (ITU-R 601).
_GREY = np.asarray((0.299, 0.587, 0.114), np.float32)


def adjust_brightness(image, factor):
    """Multiplies an image in [0, 255], as Pillow's enhancer does."""
    return clip(image * factor)


def adjust_contrast(image, factor):
    """Moves an image in [0, 255] away from its mean grey, as Pillow does."""
    height, width = _sides(image)
    columns = tf.reduce_sum(tf.reshape(image, [height, width * 3]), axis=0)
    sums = tf.reduce_sum(tf.reshape(columns, [width, 3]), axis=0)
    count = tf.cast(height * width, tf.float32)
    mean = tf.floor(tf.reduce_sum(sums * _GREY) / count + 0.5)
    return clip(image * factor + mean * (1.0 - factor))


def adjust_saturation(image, factor):
    """Moves an image in [0, 255] away from its grey image, as Pillow does."""
    # A product with a matrix of 3 x 3, written four times along the diagonal
    # where the pixels can be taken in fours: 0.11 ms instead of 0.13 at 224 px.
    height, width = _sides(image)
    fours = isinstance(height, int) and height * width % 4 == 0
    repeat = np.eye(4 if fours else 1)
    keep = np.kron(repeat, np.eye(3)).astype(np.float32)
    grey = np.kron(repeat, np.tile(_GREY[:, np.newaxis], 3)).astype(np.float32)
    mixed = tf.reshape(image, [-1, len(keep)]) @ (
        keep * factor + grey * (1.0 - factor)
    )
    return clip(tf.reshape(mixed, [height, width, 3]))


def adjust_hue(image, shift):
    """Turns the hue of an image in [0, 255] by `shift` of a full circle.

    Args:
        image: float32 [H, W, 3].
        shift: In [-1, 1].
    """
    # The kernel's result scales with the image: any range will do.
    return tf.raw_ops.AdjustHue(images=image, delta=shift)


def color_jitter(
    image, numbers, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.4
):
    """Changes the colours at random, in random order, as torchvision does.

    Args:
        image: float32 [H, W, 3] in [0, 255].
        numbers: float32 [8] in [0, 1): four amounts, four for the order.
        brightness: Factor is drawn from 1 ± this.
        contrast: Likewise.
        saturation: Likewise.
        hue: Shift is drawn from ± this share of the circle.

    Returns:
        float32 [H, W, 3] in [0, 255].
    """
    limits = np.asarray((brightness, contrast, saturation, hue), np.float32)
    centres = np.asarray((1.0, 1.0, 1.0, 0.0), np.float32)
    amounts = tf.unstack(centres + limits * (2.0 * numbers[:4] - 1.0))
    steps = (
        adjust_brightness,
        adjust_contrast,
        adjust_saturation,
        adjust_hue,
    )
    order = tf.unstack(tf.argsort(numbers[4:8]))
    for turn in range(len(steps)):
        image = tf.switch_case(
            order[turn],
            [
                lambda step=step, amount=amount, image=image: step(
                    image, amount
                )
                for step, amount in zip(steps, amounts, strict=True)
            ],
        )
    return image


def clip(image):
    """Returns the image with all values brought into [0, 255]."""
    return tf.raw_ops.ClipByValue(
        t=image, clip_value_min=0.0, clip_value_max=255.0
    )


def _sides(image):
    """Height and width: numbers where they are known, else tensors."""
    if image.shape[0] is None or image.shape[1] is None:
        height, width, _ = tf.unstack(tf.shape(image))
        return height, width
    return int(image.shape[0]), int(image.shape[1])
