"""Augmentations by name: what happens to a training image, and in what order.

Each is a pair of steps. The window says which part of the image is needed, so
that a JPEG is decoded there only; the rest works on the part's pixels.
"""

import tensorflow as tf

from dmg_tf.data.images import randaugment, randaugment_tfa
from dmg_tf.data.images.augmix import aug_mix
from dmg_tf.data.images.colour import color_jitter
from dmg_tf.data.images.transforms import (
    CROP_NUMBERS,
    flip,
    random_resized_crop,
    resize,
)

# Numbers in [0, 1) that one augmented image uses up.
NUM_RANDOM = 64


class Plain:
    """Resizes the whole image, as in evaluation.

    Args:
        size: Side of the square result, pixels.
    """

    def __init__(self, size: int):
        self.size = size

    def window(self, numbers):
        """Returns which part of the image is needed, or None for the whole.

        Args:
            numbers: float32 [NUM_RANDOM] in [0, 1), the image's own.

        Returns:
            See `decoding.decode`.
        """
        del numbers
        return None

    def finish(self, image, numbers):
        """Changes the pixels of that part.

        Args:
            image: uint8 [H, W, 3].
            numbers: float32 [NUM_RANDOM] in [0, 1), the image's own.

        Returns:
            float32 [size, size, 3] in [0, 255].
        """
        del numbers
        return resize(image, self.size)


class CropAndFlip(Plain):
    """RandomResizedCrop (scale 0.8-1) and horizontal flip."""

    def window(self, numbers):
        """Returns the drawn window."""
        return lambda shape: random_resized_crop(shape, numbers[:CROP_NUMBERS])

    def finish(self, image, numbers):
        """Mirrors and resizes; bytes are mirrored faster than floats."""
        return resize(flip(image, numbers[CROP_NUMBERS]), self.size)


class CropAndJitter(CropAndFlip):
    """The paper's augmentation for PACS (Sec. 7.5, official code).

    RandomResizedCrop(scale 0.8-1), horizontal flip, ColorJitter(0.4 each).
    """

    def finish(self, image, numbers):
        """Mirrors, resizes and changes the colours."""
        image = super().finish(image, numbers)
        return color_jitter(image, numbers[CROP_NUMBERS + 1 :][:8])


class ResizeAndCrop(Plain):
    """The paper's augmentation for DomainNet (Sec. 7.5).

    Resize to 256 x 256 (for crops of 224; in proportion for other sizes),
    random crop, horizontal flip.
    """

    def finish(self, image, numbers):
        """Resizes, crops and mirrors."""
        large = round(self.size * 256 / 224)
        image = resize(image, large)
        room = large - self.size + 1
        top, left = tf.unstack(tf.cast(tf.floor(numbers[:2] * room), tf.int32))
        image = tf.slice(image, [top, left, 0], [self.size, self.size, 3])
        return flip(image, numbers[2])


class RandAugmented(CropAndFlip):
    """Crop and flip, then RandAugment in place of ColorJitter."""

    operations = randaugment.OPERATIONS

    def finish(self, image, numbers):
        """Mirrors, resizes and applies the drawn operations."""
        image = super().finish(image, numbers)
        numbers = numbers[CROP_NUMBERS + 1 :]
        return randaugment.rand_augment(image, numbers, self.operations)


class AddonsRandAugmented(RandAugmented):
    """The same on TensorFlow Addons' operations.

    Raises:
        UserError: If TensorFlow Addons can't be imported.
    """

    operations = randaugment_tfa.OPERATIONS

    def __init__(self, size: int):
        super().__init__(size)
        randaugment_tfa.addons()


class AugMixed(CropAndFlip):
    """Crop and flip, then AugMix in place of ColorJitter."""

    def finish(self, image, numbers):
        """Mirrors, resizes and mixes chains of operations."""
        image = super().finish(image, numbers)
        return aug_mix(image, numbers[CROP_NUMBERS + 1 :])


AUGMENTATIONS = {
    "crop_and_jitter": CropAndJitter,
    "resize_and_crop": ResizeAndCrop,
    "randaugment": RandAugmented,
    "randaugment_tfa": AddonsRandAugmented,
    "augmix": AugMixed,
    "none": Plain,
}
