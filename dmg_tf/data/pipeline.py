"""`tf.data` streams of domain-tagged images.

Every choice is a function of a place: the order of an epoch of (seed, epoch),
an augmentation of (seed, epoch, example). So a stream can start at any step,
and a run that resumes sees what an unbroken one would have seen.
"""

import dataclasses
import io

import numpy as np
import PIL.Image
import tensorflow as tf

from dmg_tf.data import transforms
from dmg_tf.data.examples import Examples
from dmg_tf.errors import UserError

_ORDER, _AUGMENT = 1, 2  # keeps the two kinds of randomness apart


@dataclasses.dataclass(frozen=True)
class ImageSpec:
    """How an image file becomes the network's input.

    Attributes:
        size: Side of the square input, pixels.
        mean: Mean of RGB in [0, 1] to subtract.
        std: Standard deviation of RGB in [0, 1] to divide by.
        augment: "pacs", "domainnet" or "none"; training only.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    augment: str = "none"


class TrainingStream:
    """Shuffled, augmented batches of source images, without end.

    Args:
        examples: The images; grouped by domain for balanced sampling.
        spec: How they are prepared.
        batch_size: Images a batch; every batch is full. An epoch leaves out
            the last few images of its order, other ones each time.
        seed: Seed of order and augmentation.
        sampling: "pooled" or "balanced".
        num_domains: Number of source domains.

    Attributes:
        steps_per_epoch: Full batches in one pass.
        batch_size: Images a batch; smaller than asked for if there are fewer.
    """

    def __init__(
        self,
        examples: Examples,
        spec: ImageSpec,
        batch_size: int,
        seed: int,
        sampling: str = "pooled",
        num_domains: int = 1,
    ):
        self.examples = examples
        self.spec = spec
        self.seed = seed
        self.batch_size = min(batch_size, len(examples))
        self.steps_per_epoch = len(examples) // self.batch_size
        if sampling == "pooled":
            self._groups = [np.arange(len(examples))]
        else:
            self._groups = [
                np.flatnonzero(examples.domain_ids == index)
                for index in range(num_domains)
            ]

    def dataset(self, start_step: int = 0) -> tf.data.Dataset:
        """Returns the batches from a step on, without end.

        Args:
            start_step: Steps that were taken already.

        Returns:
            Dataset of ({"image": float32 [B, H, W, 3], "domain_ids": int32
            [B]}, labels int32 [B]).
        """
        first = start_step * self.batch_size
        paths, labels, domain_ids = _tensors(self.examples)

        def load(place):
            example, epoch = self.example_at(place)
            numbers = tf.random.stateless_uniform(
                [transforms.NUM_RANDOM],
                _seed(self.seed, _AUGMENT, epoch, example),
            )
            image = _read(paths[example])
            image = _augmented(image, self.spec, numbers)
            image = transforms.normalize(image, self.spec.mean, self.spec.std)
            return (
                {"image": image, "domain_ids": domain_ids[example]},
                labels[example],
            )

        return (
            tf.data.Dataset.range(first, np.iinfo(np.int64).max)
            .map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .batch(self.batch_size, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
        )

    def example_at(self, place):
        """Returns which example stands at a place of the endless stream.

        Args:
            place: int64 scalar, counted from 0 over all epochs.

        Returns:
            (example, epoch), int64 scalars. With balanced sampling the epoch
            counts the passes over the example's own domain.
        """
        if len(self._groups) == 1:
            # Places that a full batch does not fill are jumped over.
            used = self.steps_per_epoch * self.batch_size
            return self._pick(place // used, place % used, self._groups[0])
        domain = place % len(self._groups)
        turn = place // len(self._groups)
        branches = [
            lambda g=group: self._pick(turn // len(g), turn % len(g), g)
            for group in self._groups
        ]
        return tf.switch_case(tf.cast(domain, tf.int32), branches)

    def _pick(self, epoch, position, group):
        shuffled = tf.random.experimental.index_shuffle(
            position,
            _seed(self.seed, _ORDER, epoch, int(group[0])),
            len(group) - 1,
        )
        return tf.gather(tf.constant(group, tf.int64), shuffled), epoch

    def examples_of_step(self, step: int) -> np.ndarray:
        """Returns the indices of the examples in the batch of a step."""
        first = step * self.batch_size
        return np.asarray(
            [
                int(self.example_at(tf.constant(place, tf.int64))[0])
                for place in range(first, first + self.batch_size)
            ]
        )


def evaluation_dataset(
    examples: Examples, spec: ImageSpec, batch_size: int
) -> tf.data.Dataset:
    """Returns all examples once, in order, without augmentation.

    Args:
        examples: The images.
        spec: How they are prepared; `spec.augment` is not used.
        batch_size: Images a batch; the last one may be smaller.

    Returns:
        Dataset of ({"image": float32 [B, H, W, 3], "domain_ids": int32 [B]},
        labels int32 [B]).
    """

    def load(path, label, domain_id):
        image = transforms.resize(_read(path), spec.size)
        image = transforms.normalize(image, spec.mean, spec.std)
        return {"image": image, "domain_ids": domain_id}, label

    return (
        tf.data.Dataset.from_tensor_slices(_tensors(examples))
        .map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )


def find_bad_images(paths, on_progress=None, stop_at_first=False):
    """Decodes files and returns those that can't be.

    Args:
        paths: Files, as text.
        on_progress: Called with the number of files just done.
        stop_at_first: Whether one bad file is enough.

    Returns:
        {path: reason}.
    """

    def probe(path):
        # The reason is worked out for bad ones only, outside the graph.
        return path, tf.py_function(_is_readable, [path], tf.bool)

    bad = {}
    dataset = tf.data.Dataset.from_tensor_slices(
        [_encoded(path) for path in paths]
    ).map(probe, num_parallel_calls=tf.data.AUTOTUNE)
    for path, readable in dataset:
        if not readable:
            name = path.numpy().decode("utf-8", "surrogateescape")
            bad[name] = _why_unreadable(name)
            if stop_at_first:
                break
        if on_progress:
            on_progress(1)
    return bad


def bad_image_error(bad: dict[str, str]) -> UserError:
    """Returns the error that names an unreadable image."""
    path, reason = next(iter(bad.items()))
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return UserError(
        f"cannot read the image {path}: {reason}{more}; mend or remove it, or "
        "pass --on-bad-image skip"
    )


def _is_readable(path) -> bool:
    try:
        transforms.decode(tf.io.read_file(path))
    except (tf.errors.OpError, ValueError):
        return False
    return True


def _why_unreadable(path: str) -> str:
    try:
        with open(path, "rb") as file:
            contents = file.read()
    except OSError as error:
        return error.strerror or str(error)
    if not contents:
        return "the file is empty"
    try:
        with PIL.Image.open(io.BytesIO(contents)) as image:
            image.load()
    except Exception as error:  # Pillow raises many kinds
        # Pillow names its buffer, which says nothing to the user.
        return str(error).partition(" <_io")[0] or type(error).__name__
    return "it is damaged"


def _encoded(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _tensors(examples: Examples):
    return (
        tf.constant([_encoded(path) for path in examples.paths]),
        tf.constant(examples.labels, tf.int32),
        tf.constant(examples.domain_ids, tf.int32),
    )


def _read(path):
    return transforms.decode(tf.io.read_file(path))


def _augmented(image, spec: ImageSpec, numbers):
    if spec.augment == "pacs":
        return transforms.augment_pacs(image, spec.size, numbers)
    if spec.augment == "domainnet":
        return transforms.augment_domainnet(image, spec.size, numbers)
    return transforms.resize(image, spec.size)


def _seed(seed: int, kind: int, epoch, example):
    """Mixes the place into the two integers that seed a draw."""
    mixed = tf.random.fold_in([seed, kind], tf.cast(epoch, tf.int32))
    return tf.random.fold_in(mixed, tf.cast(example, tf.int32))
