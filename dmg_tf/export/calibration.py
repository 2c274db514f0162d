"""The source images that set an integer model's ranges."""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from dmg_tf.config import RunConfig
from dmg_tf.data.examples import Examples
from dmg_tf.data.streams.evaluation import ImageSpec, evaluation_dataset
from dmg_tf.errors import UserError
from dmg_tf.evaluation.images import images_of_run, naming_bad_images
from dmg_tf.runs.data_record import note_on_images

# Images that calibration did not see, for comparing afterwards.
COMPARED = 16


@dataclasses.dataclass(frozen=True)
class CalibrationSample:
    """Images of a run's source domains, training split; none of the target.

    Attributes:
        examples: Those that calibrate, equally many a domain where possible.
        compared: Further ones, to compare with the Keras model. Where the run
            has no more images they are among the others.
    """

    examples: Examples
    compared: Examples

    def images(self, size: int):
        """Yields uint8 [1, size, size, 3], one image at a time.

        Raises:
            UserError: If an image can't be read.
        """
        yield from _images(self.examples, size)

    def compared_images(self, size: int) -> np.ndarray:
        """Returns uint8 [N, size, size, 3].

        Raises:
            UserError: If an image can't be read.
        """
        return np.concatenate(list(_images(self.compared, size)))


def calibration_sample(
    results: dict[str, Any],
    count: int,
    data: str | None = None,
    run_dir: str | pathlib.Path | None = None,
) -> CalibrationSample:
    """Draws images of a run's sources, seeded by the run's seed.

    Args:
        results: What the run's `results.json` holds.
        count: How many to calibrate with; fewer if there are no more.
        data: Where the run's images are now; None for where the run found them.
        run_dir: Its folder, to tell where images are others than it had.

    Returns:
        The sample; no image is opened.

    Raises:
        UserError: If the run's images are gone or are others.
    """
    config = RunConfig.from_run(results["config"])
    if data is not None:
        config = dataclasses.replace(config, data=data)
    elif config.data is not None and not pathlib.Path(config.data).exists():
        raise UserError(
            "int8 needs the source images that the run was trained on, and "
            f"{config.data} is not there; say by --data where it is now"
        )
    config, found = images_of_run(results, config)
    if run_dir is not None:
        note_on_images(run_dir, found, config.data)
    order = _in_turn(found.train.domain_ids, config.seed)
    compared = order[count : count + COMPARED]
    if len(compared) < COMPARED:
        compared = order[-COMPARED:]
    return CalibrationSample(
        found.train.select(order[:count]), found.train.select(compared)
    )


def _in_turn(domain_ids, seed) -> np.ndarray:
    """Returns all positions, shuffled, the domains taking turns."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(domain_ids))
    turn = np.zeros(len(domain_ids), np.int64)  # how many of its domain before
    for domain in np.unique(domain_ids):
        own = shuffled[domain_ids[shuffled] == domain]
        turn[own] = np.arange(len(own))
    return shuffled[np.argsort(turn[shuffled], kind="stable")]


def _images(examples, size):
    # A normalisation that changes nothing: pixels stay in [0, 255].
    spec = ImageSpec(size, (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
    with naming_bad_images(examples.paths):
        for inputs, _ in evaluation_dataset(examples, spec, 1):
            pixels = tf.round(inputs["image"])
            yield tf.saturate_cast(pixels, tf.uint8).numpy()
