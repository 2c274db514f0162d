"""What a frozen feature extractor gives, computed once and kept on disk.

Of each training image some augmented views are computed, and an epoch takes one
of them. So an epoch costs what the rest of the network costs, and what is kept
serves all runs with the same images, weights and augmentation.
"""

import functools
import hashlib
import pathlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

from dmg_tf.data.examples import Examples
from dmg_tf.data.images.augment import AUGMENTATIONS, NUM_RANDOM, Plain
from dmg_tf.data.images.decoding import encoded
from dmg_tf.data.images.transforms import normalize
from dmg_tf.data.streams.cache import Files
from dmg_tf.data.streams.evaluation import ImageSpec, in_order, tags
from dmg_tf.data.streams.kept_files import (
    DAMAGED,
    TAIL,
    KeptFiles,
    ends_well,
    file_key,
)
from dmg_tf.data.streams.training import TrainingStream
from dmg_tf.errors import UserError

# The view that is not augmented; the others count from 1.
PLAIN = 0
_RULE = 1  # of what is kept; another one computes all anew
_SHARE = 0.9  # of the free disk space that may be used
_BATCH = 64


class FeatureCache:
    """Features of images, in a folder, for this run and later ones.

    A file holds the features of one view of one image, float16, and a
    fingerprint. Its name follows from the image file (path, size, time of
    change), the view, and all that features depend on.

    Args:
        folder: Where to keep them.
        spec: How an image is prepared.
        views: Augmented views of each training image; with `spec.augment`
            "none" the plain one stands for all.
        extract: Returns features [B, ...] of images [B, H, W, 3].
        shape: Of the features of an image.
        network: What says which network with which weights extracts them.
        images: Where decoded images come from.
    """

    def __init__(
        self,
        folder: str | pathlib.Path,
        spec: ImageSpec,
        views: int,
        extract: Callable,
        shape: Sequence[int],
        network: str,
        images: Files | None = None,
    ):
        self.spec = spec
        self.shape = tuple(shape)
        self.views = 0 if spec.augment == "none" else views
        self._extract = extract
        self._images = images or Files(spec.size)
        self._files = KeptFiles(folder, "use another --cache-dir")
        self._network = f"{network}\0{spec}\0{self.shape}\0{_RULE}"
        self._file_keys: dict[str, str] = {}

    def _file_key(self, path: str) -> str:
        if path not in self._file_keys:
            self._file_keys[path] = file_key(path)
        return self._file_keys[path]

    def _kept_path(self, path: str, view: int) -> str:
        key = f"{self._file_key(path)}\0{view}\0{self._network}"
        return self._files.path_of(key)

    def missing(
        self, train: Iterable[str], plain: Iterable[str]
    ) -> list[tuple[str, int]]:
        """Returns the (image, view) that `fill` would compute.

        Args:
            train: Images to learn from.
            plain: Images that are scored.
        """
        views = self.trained_views
        wanted = dict.fromkeys(
            [(path, view) for path in train for view in views]
            + [(path, PLAIN) for path in plain]
        )
        size = self._bytes
        return [
            pair for pair in wanted if _size_of(self._kept_path(*pair)) != size
        ]

    @property
    def _bytes(self) -> int:
        return 2 * int(np.prod(self.shape)) + TAIL

    def fill(
        self,
        missing: Sequence[tuple[str, int]],
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        """Computes what is missing.

        Args:
            missing: (image, view), from `missing`.
            on_progress: Called with the number of views just done.

        Raises:
            UserError: If there is no room, or a feature is too large for
                float16.
            tf.errors.InvalidArgumentError: If an image can't be decoded.
        """
        needed, free = len(missing) * self._bytes, self._files.free()
        if needed > _SHARE * free:
            raise UserError(
                f"the features would take {needed / 1e9:.1f} GB and the disk "
                f"of {self._files.folder} has {free / 1e9:.1f} GB free; give "
                "fewer --views, another --cache-dir, or --train classifier"
            )
        extract = tf.function(
            self._extract,
            input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)],
            autograph=False,
        )
        done = 0
        with self._files.filling():
            for images in self._prepared(missing):
                features = extract(images).numpy().astype(np.float16)
                for row in features:
                    path, view = missing[done]
                    if not np.isfinite(row).all():
                        raise UserError(
                            f"the frozen network gives for {path} what 16-bit "
                            "numbers can't hold; use --train all"
                        )
                    self._files.keep(self._kept_path(path, view), row.tobytes())
                    done += 1
                if on_progress:
                    on_progress(len(features))

    def _prepared(self, pairs) -> tf.data.Dataset:
        """Returns batches of the views, as the network takes them."""
        augmented = AUGMENTATIONS[self.spec.augment](self.spec.size)
        plain = Plain(self.spec.size)
        paths = [path for path, _ in pairs]
        read = self._images.reader(paths)
        views = tf.constant([view for _, view in pairs], tf.int64)
        keys = tf.constant(self.image_keys(paths))

        @tf.autograph.experimental.do_not_convert
        def load(index):
            numbers = view_numbers(keys[index], views[index])

            def with_(augmentation):
                image = read(index, augmentation.window(numbers))
                return augmentation.finish(image, numbers)

            image = tf.cond(
                views[index] == PLAIN,
                lambda: with_(plain),
                lambda: with_(augmented),
            )
            return normalize(image, self.spec.mean, self.spec.std)

        return (
            tf.data.Dataset.range(len(pairs))
            .map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .batch(_BATCH)
            .prefetch(tf.data.AUTOTUNE)
        )

    def image_keys(self, paths: Sequence[str]) -> np.ndarray:
        """Returns a number of each image file, int64 [N]."""
        digests = [
            hashlib.sha256(
                self._file_key(path).encode("utf-8", "surrogateescape")
            ).digest()[:8]
            for path in paths
        ]
        return np.frombuffer(b"".join(digests), "<i8").astype(np.int64)

    def reader(self, paths: Sequence[str]):
        """Returns how a graph reads features.

        Args:
            paths: Images, as text.

        Returns:
            Function of (index into `paths`, view), int64 scalars, that returns
            float32 of `shape`.
        """
        numbers = range(self.views + 1)
        kept = encoded(
            [self._kept_path(path, view) for path in paths for view in numbers]
        )
        end = self._bytes - TAIL

        def read(index, view):
            path = kept[index * len(numbers) + view]
            contents = tf.io.read_file(path)
            whole = tf.cond(
                tf.strings.length(contents) == end + TAIL,
                lambda: ends_well(contents, end),
                lambda: False,
            )
            check = tf.debugging.Assert(whole, [DAMAGED, path])
            with tf.control_dependencies([check] if check is not None else []):
                raw = tf.strings.substr(contents, 0, end)
            # As integers: oneDNN complains where halves are given a shape.
            raw = tf.reshape(tf.io.decode_raw(raw, tf.uint16), self.shape)
            return tf.cast(tf.bitcast(raw, tf.float16), tf.float32)

        return read

    def dataset(self, examples: Examples, batch_size: int) -> tf.data.Dataset:
        """Returns all examples once, in order, as `evaluation_dataset` does.

        Returns:
            Dataset of ({"image": float32 [B, ...], the features; "domain_ids":
            int32 [B]}, labels int32 [B]).
        """
        return self._of_views(examples, batch_size, [PLAIN])

    @property
    def trained_views(self) -> Sequence[int]:
        """The views of an image that is learned from."""
        return range(1, self.views + 1) or (PLAIN,)

    def views_of(self, examples: Examples, batch_size: int) -> tf.data.Dataset:
        """Returns each view of examples to learn from once, view by view.

        Returns:
            As `dataset`.
        """
        return self._of_views(examples, batch_size, self.trained_views)

    def _of_views(self, examples, batch_size, views):
        read = self.reader(examples.paths)

        def of(view):
            view = tf.constant(view, tf.int64)
            return in_order(examples, lambda i: read(i, view), batch_size)

        return functools.reduce(tf.data.Dataset.concatenate, map(of, views))


class FeatureStream(TrainingStream):
    """Shuffled batches of features of source images, without end.

    The order is that of a `TrainingStream`; the view of an image is drawn anew
    in each epoch.

    Args:
        features: Filled with the views of all examples.
        **kwargs: As for a `TrainingStream`.
    """

    def __init__(self, features: FeatureCache, **kwargs):
        super().__init__(spec=features.spec, **kwargs)
        self._features = features
        self._keys = tf.constant(features.image_keys(self.examples.paths))

    def view_at(self, example, epoch):
        """Returns which view of an example an epoch takes, int64 scalar."""
        if not self._features.views:
            return tf.constant(PLAIN, tf.int64)
        seed = tf.stack([(self.seed << 32) + epoch, example])
        return tf.random.stateless_uniform(
            [], seed, 1, self._features.views + 1, tf.int64
        )

    def numbers_at(self, example, epoch):
        """Returns the random numbers of the view that an epoch takes."""
        return view_numbers(self._keys[example], self.view_at(example, epoch))

    def loader(self):
        """Returns how to load the features at a position; see there."""
        read = self._features.reader(self.examples.paths)
        labels, domain_ids = tags(self.examples)

        @tf.autograph.experimental.do_not_convert
        def load(position):
            example, epoch = self.example_at(position)
            features = read(example, self.view_at(example, epoch))
            return (
                {"image": features, "domain_ids": domain_ids[example]},
                labels[example],
            )

        return load


def view_numbers(key, view):
    """Returns the numbers that a view is augmented by: float32 [NUM_RANDOM].

    Args:
        key: int64 scalar, of `image_keys`.
        view: int64 scalar.
    """
    return tf.random.stateless_uniform([NUM_RANDOM], tf.stack([key, view]))


def weights_key(layer) -> str:
    """Returns what says which weights a layer has: a SHA-256."""
    digest = hashlib.sha256()
    for weight in layer.weights:
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _size_of(path: str) -> int | None:
    try:
        return pathlib.Path(path).stat().st_size
    except OSError:
        return None
