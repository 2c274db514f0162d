"""Images as the network takes them, each once and in order."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from dmg_tf.data.examples import Examples
from dmg_tf.data.images.augment import Plain
from dmg_tf.data.images.transforms import normalize
from dmg_tf.data.streams.cache import Files


@dataclasses.dataclass(frozen=True)
class ImageSpec:
    """How an image file becomes the network's input.

    Attributes:
        size: Side of the square input, pixels.
        mean: Mean of RGB in [0, 1] to subtract.
        std: Standard deviation of RGB in [0, 1] to divide by.
        augment: Name in `AUGMENTATIONS`; training only.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    augment: str = "none"


def evaluation_dataset(
    examples: Examples,
    spec: ImageSpec,
    batch_size: int,
    images: Files | None = None,
) -> tf.data.Dataset:
    """Returns all examples once, in order, without augmentation.

    Args:
        examples: The images.
        spec: How they are prepared; `spec.augment` is not used.
        batch_size: Images a batch; the last one may be smaller.
        images: Where decoded images come from; None decodes the files.

    Returns:
        Dataset of ({"image": float32 [B, H, W, 3], "domain_ids": int32 [B]},
        labels int32 [B]).
    """
    return in_order(examples, _loader(examples, spec, images), batch_size)


def few_images(
    examples: Examples, spec: ImageSpec, images: Files | None = None
) -> tf.Tensor:
    """Returns a handful of images, sooner than a stream of them is set up.

    Args:
        examples: The images.
        spec: How they are prepared; `spec.augment` is not used.
        images: Where decoded images come from; None decodes the files.

    Returns:
        float32 [N, H, W, 3].
    """
    load = _loader(examples, spec, images)
    return tf.stack([load(index) for index in range(len(examples))])


def _loader(examples, spec, images) -> Callable:
    plain = Plain(spec.size)
    read = (images or Files(spec.size)).reader(examples.paths)

    def load(index):
        image = plain.finish(read(index), None)
        return normalize(image, spec.mean, spec.std)

    return load


def in_order(
    examples: Examples, read: Callable, batch_size: int
) -> tf.data.Dataset:
    """Returns all examples once, in order, in batches.

    Args:
        examples: The images.
        read: Returns what stands for an image, of its index.
        batch_size: Images a batch; the last one may be smaller.

    Returns:
        Dataset of ({"image": [B, ...], "domain_ids": int32 [B]}, labels int32
        [B]).
    """
    labels, domain_ids = tags(examples)

    # Nothing here is written as Python's `if`, and looking for it takes time.
    @tf.autograph.experimental.do_not_convert
    def load(index):
        return (
            {"image": read(index), "domain_ids": domain_ids[index]},
            labels[index],
        )

    return (
        tf.data.Dataset.range(len(examples))
        .map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )


def tags(examples: Examples) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns labels and domain ids, int32 [N] each."""
    return (
        tf.constant(examples.labels, tf.int32),
        tf.constant(examples.domain_ids, tf.int32),
    )
