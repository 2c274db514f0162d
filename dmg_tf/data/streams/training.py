"""The endless stream of images that training learns from.

Every choice is a function of a position: the order of an epoch of (seed,
epoch), an augmentation of (seed, epoch, example), what is mixed with what of
(seed, step, machine). So a stream can start at any step, and a run that resumes
sees what an unbroken one would have seen.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from dmg_tf.data.examples import Examples
from dmg_tf.data.images.augment import AUGMENTATIONS, NUM_RANDOM
from dmg_tf.data.images.transforms import normalize
from dmg_tf.data.service.client import from_service
from dmg_tf.data.streams.cache import Files
from dmg_tf.data.streams.evaluation import ImageSpec, tags
from dmg_tf.data.streams.mixing import Mixing

# Nothing in these graphs is written as Python's `if` or `while`, and turning
# that into operations would take seconds at each start.
_as_written = tf.autograph.experimental.do_not_convert
_WITHOUT_END = np.iinfo(np.int64).max


@dataclasses.dataclass(frozen=True)
class Shard:
    """Which rows of each batch a machine prepares, and in how many pieces.

    Attributes:
        worker: Number of the machine, from 0.
        workers: Number of machines; each takes equally many rows.
        replicas: Devices of all machines; a piece is what one of them takes.
    """

    worker: int = 0
    workers: int = 1
    replicas: int = 1


class TrainingStream:
    """Shuffled, augmented batches of source images, without end.

    Args:
        examples: The images.
        spec: How they are prepared.
        batch_size: Images a batch; every batch is full. An epoch leaves out
            the last few images of its order, other ones each time.
        seed: Seed of order and augmentation.
        sampling: "pooled" or "balanced".
        num_domains: Number of source domains.
        images: Where decoded images come from; None decodes the files.
        service: HOST:PORT of a `tf.data` service that prepares the batches.
            None prepares them in this process.
        mixing: How the rows of a machine are mixed, or None.

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
        images: Files | None = None,
        service: str | None = None,
        mixing: Mixing | None = None,
    ):
        self.examples = examples
        self.spec = spec
        self.service = service
        self.seed = seed
        self.mixing = mixing
        self.batch_size = min(batch_size, len(examples))
        self.steps_per_epoch = len(examples) // self.batch_size
        self.images = images or Files(spec.size, pillow=service is None)
        if sampling == "pooled":
            groups = [np.arange(len(examples))]
        else:
            groups = [
                np.flatnonzero(examples.domain_ids == index)
                for index in range(num_domains)
            ]
        self._sizes = np.asarray([len(group) for group in groups], np.int64)
        self._turns = self._sizes
        if sampling == "pooled":
            # Positions that a full batch does not fill are jumped over.
            self._turns = np.asarray(
                [self.steps_per_epoch * self.batch_size], np.int64
            )
        self._starts = np.cumsum([0, *self._sizes[:-1]]).astype(np.int64)
        self._members = np.concatenate(groups).astype(np.int64)

    def dataset(
        self, start_step: int = 0, shard: Shard | None = None
    ) -> tf.data.Dataset:
        """Returns the batches from a step on, without end.

        Args:
            start_step: Steps that were taken already.
            shard: Which part of each batch to prepare; None for the whole. The
                batch size must be a multiple of its replicas.

        Returns:
            Dataset of ({"image": float32 [B, H, W, 3], "domain_ids": int32
            [B]}, labels int32 [B], or float32 [B, C] of shares where they are
            mixed). With a shard B is a replica's part; those of the machine's
            replicas follow each other.
        """
        shard = shard or Shard()
        positions = self._positions(start_step, shard)
        part = self.batch_size // shard.replicas
        if self.mixing is None:
            batches = self._loaded(positions, self.loader(), part)
        else:
            rows = self.batch_size // shard.workers
            batches = self._mixed(positions, rows)
            if part < rows:
                batches = batches.rebatch(part, drop_remainder=True)
        if self.service is not None:
            batches = batches.apply(from_service(self.service))
        batches = batches.prefetch(tf.data.AUTOTUNE)
        # Said to be endless, it need not be asked at each step, on all
        # machines, whether there is more.
        return batches.repeat() if shard.replicas > 1 else batches

    def _loaded(self, positions, load, size: int) -> tf.data.Dataset:
        return positions.map(
            load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        ).batch(size, drop_remainder=True)

    def _mixed(self, positions, size: int) -> tf.data.Dataset:
        load = self.loader()

        @_as_written
        def with_position(position):
            return position, *load(position)

        @_as_written
        def mix(positions, inputs, labels):
            key = tf.stack([tf.constant(self.seed, tf.int64), positions[0]])
            # Augmentations are drawn by such a key itself.
            key = tf.random.experimental.stateless_fold_in(key, 1)
            return self.mixing(key, inputs, labels)

        return self._loaded(positions, with_position, size).map(
            mix, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )

    def loader(self):
        """Returns how to load what is learned from at a position.

        Returns:
            As `image_loader`.
        """
        return self.image_loader()

    def numbers_at(self, example, epoch):
        """Returns the random numbers of an image in an epoch.

        Returns:
            float32 [NUM_RANDOM] in [0, 1).
        """
        return tf.random.stateless_uniform(
            [NUM_RANDOM], tf.stack([(self.seed << 32) + epoch, example])
        )

    def image_loader(self):
        """Returns how to load what stands at a position of the endless stream.

        Returns:
            (position, int64 scalar counted from 0 over all epochs) ->
            ({"image": float32 [H, W, 3], "domain_ids": int32 scalar}, label).
        """
        augmentation = AUGMENTATIONS[self.spec.augment](self.spec.size)
        read = self.images.reader(self.examples.paths)
        labels, domain_ids = tags(self.examples)

        @_as_written
        def load(position):
            example, epoch = self.example_at(position)
            numbers = self.numbers_at(example, epoch)
            image = read(example, augmentation.window(numbers))
            image = augmentation.finish(image, numbers)
            image = normalize(image, self.spec.mean, self.spec.std)
            return (
                {"image": image, "domain_ids": domain_ids[example]},
                labels[example],
            )

        return load

    def _positions(self, start_step: int, shard: Shard) -> tf.data.Dataset:
        """Returns the positions of a machine's rows, in order."""
        rows = self.batch_size // shard.workers
        first = shard.worker * rows
        if self.service is not None:
            # The service deals out the numbers of the source: whole steps.
            return tf.data.Dataset.range(start_step, _WITHOUT_END).flat_map(
                _as_written(
                    lambda step: tf.data.Dataset.range(rows).map(
                        _as_written(
                            lambda row: step * self.batch_size + first + row
                        )
                    )
                )
            )
        positions = tf.data.Dataset.range(start_step * rows, _WITHOUT_END)
        if shard.workers > 1:
            positions = positions.map(
                _as_written(
                    lambda i: i // rows * self.batch_size + first + i % rows
                )
            )
        return positions

    def example_at(self, position):
        """Returns which example stands at a position of the endless stream.

        Args:
            position: int64 scalar, counted from 0 over all epochs.

        Returns:
            (example, epoch), int64 scalars. With balanced sampling the epoch
            counts the passes over the example's own domain.
        """
        group = position % len(self._sizes)
        turn = position // len(self._sizes)
        turns = tf.gather(self._turns, group)
        epoch, index = turn // turns, turn % turns
        shuffled = tf.random.experimental.index_shuffle(
            index,
            # This draw takes seeds of 32 bits.
            tf.stack([self.seed, epoch * len(self._sizes) + group]),
            tf.gather(self._sizes, group) - 1,
        )
        first = tf.gather(self._starts, group)
        return tf.gather(self._members, first + shuffled), epoch

    def examples_of_step(self, step: int) -> np.ndarray:
        """Returns the indices of the examples in the batch of a step."""
        first = step * self.batch_size
        return np.asarray(
            [
                int(self.example_at(tf.constant(position, tf.int64))[0])
                for position in range(first, first + self.batch_size)
            ]
        )
