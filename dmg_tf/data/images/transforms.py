"""Image functions: windows to crop, resizing, mirroring, normalisation.

Random ones take their numbers as an argument, so that an augmentation is a
function of (seed, epoch, example) and of nothing else.
"""

import numpy as np
import tensorflow as tf

# Up to here the antialiasing filter is as wide as the plain one: results differ
# by less than a tenth of a grey level, and the plain kernel is far faster.
_PLAIN_UP_TO = 1.02


def resize(image, size: int):
    """Resizes to a square with antialiased bilinear filtering, as Pillow does.

    Args:
        image: uint8 or float [..., H, W, 3] in [0, 255], of rank 3 or 4.
        size: Side of the result, pixels.

    Returns:
        float32 [..., size, size, 3] in [0, 255].
    """
    sides = tf.shape(image)[-3:-1]
    small = tf.cast(tf.reduce_max(sides), tf.float32) <= _PLAIN_UP_TO * size

    def plain():
        # The kernel is faster on floats.
        floats = tf.cast(image, tf.float32)
        return tf.image.resize(floats, [size, size])

    def antialiased():
        # A large image would take four times the memory as floats.
        return tf.image.resize(image, [size, size], antialias=True)

    return tf.cond(small, plain, antialiased)


def normalize(image, mean, std):
    """Normalises an image as the network expects it.

    Args:
        image: uint8 or float [..., H, W, 3] in [0, 255].
        mean: Three numbers, of RGB in [0, 1].
        std: Likewise.

    Returns:
        float32 [..., H, W, 3], (image / 255 - mean) / std.
    """
    image = tf.cast(image, tf.float32)
    scale = 1.0 / (255.0 * np.asarray(std))
    offset = -255.0 * np.asarray(mean) * scale
    width = image.shape[-2]
    shape = tf.shape(image)
    if width is not None:
        # Whole rows at once: kernels are slow on a last axis of length 3.
        image = tf.reshape(image, tf.concat([shape[:-2], [3 * width]], axis=0))
        scale, offset = np.tile(scale, width), np.tile(offset, width)
    image = image * scale.astype(np.float32) + offset.astype(np.float32)
    return image if width is None else tf.reshape(image, shape)


def flip(image, number):
    """Mirrors an image [H, W, 3] left to right when `number` < 0.5."""
    return tf.cond(number < 0.5, lambda: tf.reverse(image, [1]), lambda: image)


# Numbers that `random_resized_crop` uses up: four for each of ten tries.
CROP_NUMBERS = 40


def random_resized_crop(shape, numbers, scale=(0.8, 1.0), ratio=(3 / 4, 4 / 3)):
    """Draws the window that torchvision's RandomResizedCrop would cut out.

    Args:
        shape: int32 [2], height and width of the image.
        numbers: float32 [CROP_NUMBERS] in [0, 1).
        scale: Smallest and largest share of the area.
        ratio: Smallest and largest width / height.

    Returns:
        int32 [4]: top, left, height and width. After ten draws that do not fit
        it is the largest central part within the ratios.
    """
    height, width = tf.unstack(tf.cast(shape, tf.float32))
    tries = tf.reshape(numbers, [4, -1])
    area = height * width * (scale[0] + tries[0] * (scale[1] - scale[0]))
    low, high = np.log(ratio).tolist()
    aspect = tf.exp(low + tries[1] * (high - low))
    widths = tf.round(tf.sqrt(area * aspect))
    heights = tf.round(tf.sqrt(area / aspect))
    fits = (
        (widths >= 1) & (heights >= 1) & (widths <= width) & (heights <= height)
    )

    def drawn():
        first = tf.argmax(fits)
        crop_h, crop_w = heights[first], widths[first]
        top = tf.floor(tries[2, first] * (height - crop_h + 1))
        left = tf.floor(tries[3, first] * (width - crop_w + 1))
        return tf.stack([top, left, crop_h, crop_w])

    def central():
        crop_h, crop_w = height, width
        crop_w = tf.minimum(crop_w, tf.round(height * ratio[1]))
        crop_h = tf.minimum(crop_h, tf.round(width / ratio[0]))
        top = tf.floor((height - crop_h) / 2)
        left = tf.floor((width - crop_w) / 2)
        return tf.stack([top, left, crop_h, crop_w])

    return tf.cast(tf.cond(tf.reduce_any(fits), drawn, central), tf.int32)
