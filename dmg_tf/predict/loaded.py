"""A trained model in Python: from files or arrays to classes and features."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from dmg_tf.data.images.transforms import resize
from dmg_tf.errors import UserError
from dmg_tf.predict.inputs import collect_paths
from dmg_tf.predict.predictor import Predictor, load_predictor
from dmg_tf.predict.stream import read_images
from dmg_tf.runs.facts import ModelFacts

BATCH_SIZE = 64

Path = str | os.PathLike
Images = Path | Sequence[Path] | np.ndarray | Sequence[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model says of N images, in their order.

    Attributes:
        classes: The likeliest class of each image, N names.
        probabilities: float32 [N, C], in the order of the model's
            `class_names`; a row sums to 1. Of a model with a temperature they
            are calibrated.
        paths: The files, N; empty where arrays were given.
        abstain: bool [N], where the model is too unsure to decide; None of a
            model that does not say.
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray
    paths: tuple[str, ...]
    abstain: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.classes)


class LoadedModel:
    """A trained model that takes image files and arrays as they are.

    Resizing and normalisation are those of training. Images are paths or
    arrays, one or several. A path may be a file, a folder (all images below) or
    a pattern, as for `dmg-tf predict`; an array is uint8 or float [H, W, 3] or
    [N, H, W, 3] in [0, 255], of any size.

    Args:
        predictor: What `load_predictor` gave.
    """

    def __init__(self, predictor: Predictor):
        self._predictor = predictor
        size = predictor.facts.image_size
        self._spec = tf.TensorSpec([None, size, size, 3], tf.float32)
        self._probabilities = self._compiled(
            lambda images: predictor.probabilities(images)[2]
        )
        self._embed = predictor.embed and self._compiled(predictor.embed)

    @property
    def facts(self) -> ModelFacts:
        """Method, backbone, domains, rule and accuracies of the model."""
        return self._predictor.facts

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the C classes."""
        return self.facts.class_names

    def predict(
        self,
        images: Images,
        batch_size: int = BATCH_SIZE,
        abstain_error: float | None = None,
    ) -> Predictions:
        """Predicts images.

        Args:
            images: Paths or arrays, see the class.
            batch_size: Images a step.
            abstain_error: The share of wrong decisions that abstaining is to
                leave, on the sources: one of `dmg_tf.rules.ABSTAIN_RATES`;
                None for the usual.

        Returns:
            The `Predictions`.

        Raises:
            UserError: If a path can't be read, or an array holds no images.
        """
        paths, found = self._map(self._probabilities, images, batch_size)
        found = found.reshape(-1, len(self.class_names))
        classes = tuple(self.class_names[i] for i in found.argmax(axis=1))
        below = self.facts.abstains_below(abstain_error)
        abstain = None if below is None else found.max(axis=1) < below
        return Predictions(classes, found, paths, abstain)

    def embed(self, images: Images, batch_size: int = BATCH_SIZE) -> np.ndarray:
        """Computes features: what the last layer reads.

        Args:
            images: Paths or arrays, see the class.
            batch_size: Images a step.

        Returns:
            float32 [N, F].

        Raises:
            UserError: If the model is an exported one, or as for `predict`.
        """
        if self._embed is None:
            raise UserError(
                "an exported model has no features, only predictions; load "
                "the run folder"
            )
        return self._map(self._embed, images, batch_size)[1]

    def _compiled(self, function) -> Callable:
        return tf.function(
            function, input_signature=[self._spec], autograph=False
        )

    def _map(self, function, images, batch_size):
        several = isinstance(images, Sequence) and not isinstance(images, str)
        images = images if several else [images]
        of_kind = _of_paths
        if any(isinstance(image, np.ndarray | tf.Tensor) for image in images):
            of_kind = _of_arrays
        batches = of_kind(images, self.facts.image_size, batch_size)
        paths, found = [], []
        for names, batch in batches:
            paths += names
            found.append(function(batch).numpy())
        return tuple(paths), np.concatenate(found)


def load(
    folder: str | os.PathLike,
    prediction_rule: str | None = None,
    *,
    trust: bool = False,
) -> LoadedModel:
    """Loads a trained model, ready for images as they are.

    Args:
        folder: A run folder, or one that `dmg-tf export` wrote.
        prediction_rule: How to predict, e.g. "mask_ens"; None for the method's
            first rule, or for what was chosen at export.
        trust: Whether an exported model is loaded though it may touch files
            or run programs; what `dmg-tf export` writes does neither.

    Returns:
        The `LoadedModel`.

    Raises:
        UserError: If there is no model, it can't be read, or it does not know
            the rule.
    """
    return LoadedModel(
        load_predictor(os.fspath(folder), prediction_rule, trust)
    )


def _of_paths(places, size, batch_size) -> Iterator[tuple[list, tf.Tensor]]:
    paths = collect_paths([os.fspath(place) for place in places])
    for names, images, reasons in read_images(paths, size, batch_size):
        for name, reason in zip(names, reasons, strict=True):
            if reason:
                raise UserError(f"cannot read the image {name}: {reason}")
        yield names, images


def _of_arrays(arrays, size, batch_size) -> Iterator[tuple[list, tf.Tensor]]:
    waiting, count = [], 0
    for array in map(_checked, map(np.asarray, arrays)):
        for start in range(0, len(array), batch_size):
            waiting.append(resize(array[start : start + batch_size], size))
            count += len(waiting[-1])
            if count >= batch_size:
                yield [], tf.concat(waiting, axis=0)
                waiting, count = [], 0
    if waiting:
        yield [], tf.concat(waiting, axis=0)


def _checked(array: np.ndarray) -> np.ndarray:
    """Returns images [N, H, W, 3]; raises UserError if they are none."""
    images = array[None] if array.ndim == 3 else array
    if images.ndim != 4 or images.shape[-1] != 3 or not images.size:
        raise UserError(
            "expected images [H, W, 3] or [N, H, W, 3], got an array of shape "
            f"{list(array.shape)}"
        )
    low, high = images.min(), images.max()
    # Floats in [0, 1] would be taken for black images.
    scaled = images.dtype.kind == "f" and 0 < high <= 1
    if not 0 <= low <= high <= 255 or scaled:
        raise UserError(
            f"expected pixels in [0, 255], got {images.dtype} from {low:g} to "
            f"{high:g}"
        )
    return images
