"""Colour changes of images in [0, 255], as Pillow and torchvision do them.

Each works on an image's three planes, [3, H * W]: kernels are several times
slower on a last axis of length 3, and a hue is made of whole planes.
"""

import numpy as np
import tensorflow as tf

# Grey from RGB as Pillow computes it (ITU-R 601).
_GREY = np.asarray((0.299, 0.587, 0.114), np.float32)
# Where the three channels stand on the circle of hues.
_PLACES = np.asarray([[3 / 6], [1 / 6], [-1 / 6]], np.float32)
_ALMOST_0 = 1e-9


def adjust_brightness(image, factor):
    """Multiplies an image [H, W, 3] in [0, 255], as Pillow's enhancer does."""
    return _on_planes(_brightness, image, factor)


def adjust_contrast(image, factor):
    """Moves an image [H, W, 3] in [0, 255] away from its mean grey."""
    return _on_planes(_contrast, image, factor)


def adjust_saturation(image, factor):
    """Moves an image [H, W, 3] in [0, 255] away from its grey image."""
    return _on_planes(_saturation, image, factor)


def adjust_hue(image, shift):
    """Turns the hue of an image in [0, 255] by `shift` of a full circle.

    Args:
        image: float32 [H, W, 3].
        shift: In [-1, 1].
    """
    return _on_planes(_hue, image, shift)


def _on_planes(change, image, amount):
    image = tf.convert_to_tensor(image)
    return _joined(change(_planes(image), amount), image)


def _planes(image):
    return tf.transpose(tf.reshape(image, [-1, 3]))


def _joined(planes, image):
    """Returns planes in the shape of the image that they are from."""
    shape = image.shape if image.shape.is_fully_defined() else tf.shape(image)
    return tf.reshape(tf.transpose(planes), shape)


def _brightness(planes, factor):
    return clip(planes * factor)


def _contrast(planes, factor):
    count = tf.cast(tf.shape(planes)[1], tf.float32)
    sums = tf.reduce_sum(planes, axis=1)
    mean = tf.floor(tf.reduce_sum(sums * _GREY) / count + 0.5)
    return clip(planes * factor + mean * (1.0 - factor))


def _saturation(planes, factor):
    grey = tf.matmul(_GREY[np.newaxis], planes)
    return clip(planes * factor + grey * (1.0 - factor))


def _hue(planes, shift):
    """Turns the hue; see `adjust_hue`.

    A channel falls from the largest one's value to the smallest one's within a
    sixth of the circle, and is at either for a third, as in HSV. A third of the
    time of TensorFlow's kernel, which goes pixel by pixel.
    """
    red, green, blue = tf.unstack(planes)
    most = tf.maximum(tf.maximum(red, green), blue)
    chroma = most - tf.minimum(tf.minimum(red, green), blue)
    share = 1.0 / tf.maximum(chroma, _ALMOST_0)
    sixths = tf.where(
        most == red,
        (green - blue) * share,
        tf.where(
            most == green,
            2.0 + (blue - red) * share,
            4.0 + (red - green) * share,
        ),
    )
    turned = sixths * (1 / 6) + (shift + _PLACES)  # [3, H * W], of a circle
    away = tf.abs(turned - tf.round(turned))
    return most - chroma * tf.minimum(tf.nn.relu(2.0 - 6.0 * away), 1.0)


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
    steps = (_brightness, _contrast, _saturation, _hue)
    order = tf.unstack(tf.argsort(numbers[4:8]))
    image = tf.convert_to_tensor(image)
    planes = _planes(image)
    for turn in range(len(steps)):
        planes = tf.switch_case(
            order[turn],
            [
                lambda step=step, amount=amount, planes=planes: step(
                    planes, amount
                )
                for step, amount in zip(steps, amounts, strict=True)
            ],
        )
    return _joined(planes, image)


def clip(values):
    """Returns the values brought into [0, 255]."""
    # Two kernels take less time than ClipByValue, which is not vectorised.
    return tf.minimum(tf.nn.relu(values), 255.0)
