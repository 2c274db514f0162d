"""Image functions: decoding, cropping, colour, normalisation.

Random ones take their numbers as an argument, so that an augmentation is a
function of (seed, epoch, example) and of nothing else.
"""

import io

import numpy as np
import PIL.Image
import tensorflow as tf

# Grey from RGB as Pillow computes it (ITU-R 601).
_GREY = (0.299, 0.587, 0.114)


def decode(contents):
    """Decodes an image file to RGB.

    JPEG and PNG are decoded by TensorFlow, all else (BMP, GIF's first frame,
    WebP, TIFF) by Pillow. Grey and palette images become RGB, an alpha channel
    is dropped, and of 16 bits the upper 8 are kept.

    Args:
        contents: string scalar, the file's bytes.

    Returns:
        uint8 [H, W, 3].

    Raises:
        tf.errors.InvalidArgumentError: If the bytes are no complete image.
            Outside a graph it is a ValueError where Pillow was asked.
    """
    start = tf.strings.substr(contents, 0, 4)

    def jpeg():
        return tf.io.decode_jpeg(
            contents, channels=3, dct_method="INTEGER_ACCURATE"
        )

    def png():
        return tf.io.decode_png(contents, channels=3)

    def other():
        return tf.numpy_function(_decode_with_pillow, [contents], tf.uint8)

    image = tf.case(
        [
            (tf.strings.substr(start, 0, 3) == b"\xff\xd8\xff", jpeg),
            (start == b"\x89PNG", png),
        ],
        default=other,
    )
    image.set_shape([None, None, 3])
    return image


def _decode_with_pillow(contents) -> np.ndarray:
    # A graph hands over bytes, eager execution an array that holds them.
    contents = contents if isinstance(contents, bytes) else contents.item()
    try:
        with PIL.Image.open(io.BytesIO(contents)) as image:
            if image.mode.startswith("I"):
                # Pillow would clip 16 bits at 255 instead of scaling them.
                grey = np.clip(np.asarray(image).astype(np.int64) >> 8, 0, 255)
                return np.stack([grey.astype(np.uint8)] * 3, axis=-1)
            return np.asarray(image.convert("RGB"))
    except Exception as error:
        # Pillow raises many kinds, from OSError to struct.error.
        raise ValueError(f"no complete image: {error}") from error


def resize(image, size: int):
    """Resizes to a square with antialiased bilinear filtering, as Pillow does.

    Args:
        image: uint8 or float [H, W, 3] in [0, 255].
        size: Side of the result, pixels.

    Returns:
        float32 [size, size, 3] in [0, 255].
    """
    return tf.image.resize(image, [size, size], antialias=True)


def normalize(image, mean, std):
    """Returns (image / 255 - mean) / std, float32, for an image in [0, 255]."""
    mean = 255.0 * tf.constant(mean, tf.float32)
    std = 255.0 * tf.constant(std, tf.float32)
    return (tf.cast(image, tf.float32) - mean) / std


# Numbers in [0, 1) that one augmented image uses up.
NUM_RANDOM = 64
_CROP_TRIES = 10


def random_resized_crop(
    image, size: int, numbers, scale=(0.8, 1.0), ratio=(3 / 4, 4 / 3)
):
    """Crops a random part and resizes it, as torchvision's function does.

    Args:
        image: uint8 [H, W, 3].
        size: Side of the result, pixels.
        numbers: float32 [40] in [0, 1).
        scale: Smallest and largest share of the area.
        ratio: Smallest and largest width / height.

    Returns:
        float32 [size, size, 3] in [0, 255].
    """
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    height, width = shape[0], shape[1]
    tries = tf.reshape(numbers, [4, _CROP_TRIES])
    area = height * width * _between(tries[0], *scale)
    log_ratio = np.log(ratio)
    aspect = tf.exp(_between(tries[1], log_ratio[0], log_ratio[1]))
    widths = tf.round(tf.sqrt(area * aspect))
    heights = tf.round(tf.sqrt(area / aspect))
    fits = (
        (widths >= 1) & (heights >= 1) & (widths <= width) & (heights <= height)
    )
    first = tf.argmax(tf.cast(fits, tf.int32))
    found = tf.reduce_any(fits)
    # None fits: the largest central part within the ratios.
    whole = width / height
    fallback_w = tf.minimum(width, tf.round(height * ratio[1]))
    fallback_h = tf.minimum(height, tf.round(width / ratio[0]))
    fallback_w = tf.where(whole < ratio[0], width, fallback_w)
    fallback_h = tf.where(whole > ratio[1], height, fallback_h)
    crop_h = tf.where(found, heights[first], fallback_h)
    crop_w = tf.where(found, widths[first], fallback_w)
    room_h, room_w = height - crop_h, width - crop_w
    top = tf.where(
        found, tf.floor(tries[2, first] * (room_h + 1)), tf.floor(room_h / 2)
    )
    left = tf.where(
        found, tf.floor(tries[3, first] * (room_w + 1)), tf.floor(room_w / 2)
    )
    top, left, crop_h, crop_w = (
        tf.cast(value, tf.int32) for value in (top, left, crop_h, crop_w)
    )
    return resize(image[top : top + crop_h, left : left + crop_w], size)


def random_flip(image, number):
    """Mirrors an image [H, W, 3] left to right when `number` < 0.5."""
    return tf.cond(number < 0.5, lambda: image[:, ::-1], lambda: image)


def adjust_brightness(image, factor):
    """Multiplies an image in [0, 255], as Pillow's enhancer does."""
    return tf.clip_by_value(image * factor, 0.0, 255.0)


def adjust_contrast(image, factor):
    """Moves an image in [0, 255] away from its mean grey, as Pillow does."""
    mean = tf.floor(tf.reduce_mean(_grey(image)) + 0.5)
    return tf.clip_by_value(mean + (image - mean) * factor, 0.0, 255.0)


def adjust_saturation(image, factor):
    """Moves an image in [0, 255] away from its grey image, as Pillow does."""
    grey = _grey(image)
    return tf.clip_by_value(grey + (image - grey) * factor, 0.0, 255.0)


def adjust_hue(image, shift):
    """Turns the hue of an image in [0, 255] by `shift` of a full circle."""
    return 255.0 * tf.image.adjust_hue(image / 255.0, shift)


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
    steps = [
        lambda x: adjust_brightness(
            x, _between(numbers[0], 1 - brightness, 1 + brightness)
        ),
        lambda x: adjust_contrast(
            x, _between(numbers[1], 1 - contrast, 1 + contrast)
        ),
        lambda x: adjust_saturation(
            x, _between(numbers[2], 1 - saturation, 1 + saturation)
        ),
        lambda x: adjust_hue(x, _between(numbers[3], -hue, hue)),
    ]
    order = tf.argsort(numbers[4:8])
    for place in range(len(steps)):
        image = tf.switch_case(
            order[place], [lambda s=s, x=image: s(x) for s in steps]
        )
    return image


def augment_pacs(image, size: int, numbers):
    """Applies the paper's augmentation for PACS (Sec. 7.5, official code).

    RandomResizedCrop(scale 0.8-1), horizontal flip, ColorJitter(0.4 each).

    Args:
        image: uint8 [H, W, 3].
        size: Side of the result, pixels.
        numbers: float32 [NUM_RANDOM] in [0, 1).

    Returns:
        float32 [size, size, 3] in [0, 255].
    """
    image = random_resized_crop(image, size, numbers[:40])
    image = random_flip(image, numbers[40])
    return color_jitter(image, numbers[41:49])


def augment_domainnet(image, size: int, numbers):
    """Applies the paper's augmentation for DomainNet.

    Resize to 256 x 256 (for crops of 224; in proportion for other sizes),
    random crop, horizontal flip.

    Args:
        image: uint8 [H, W, 3].
        size: Side of the result, pixels.
        numbers: float32 [NUM_RANDOM] in [0, 1).

    Returns:
        float32 [size, size, 3] in [0, 255].
    """
    large = round(size * 256 / 224)
    image = resize(image, large)
    top, left = tf.unstack(
        tf.cast(tf.floor(numbers[:2] * (large - size + 1)), tf.int32)
    )
    image = tf.slice(image, [top, left, 0], [size, size, 3])
    return random_flip(image, numbers[2])


def _grey(image):
    return tf.reduce_sum(image * tf.constant(_GREY), axis=-1, keepdims=True)


def _between(numbers, low, high):
    return low + numbers * (high - low)
