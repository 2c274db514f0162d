"""What TensorBoard shows of a run.

Numbers of training, of validation and of a tracked target are runs of their
own below `logs/`, with the same tags: so TensorBoard draws them into one chart.
Tags are named such that pictures come last, in the order of the alphabet.
"""

import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from dmg_tf.data.names import OVERALL
from dmg_tf.files import writing
from dmg_tf.training.selection import LOSS, VALIDATION

TRAIN, VALIDATED, TARGET = "train", "validation", "target"
_TARGET = "target_"
_EFFORT = ("seconds", "images_per_second", "learning_rate")


class Summaries:
    """Writes numbers, settings and pictures of a run for TensorBoard.

    Args:
        path: The folder of the event files; made with the first of them.
        settings: The run's, which the tab "HParams" compares runs by.
        pictures: Returns {name: float [H, W, 3] in [0, 1]}, to be shown once.
    """

    def __init__(
        self,
        path: pathlib.Path,
        settings: Mapping[str, Any],
        pictures: Callable[[], Mapping[str, np.ndarray]],
    ):
        self._path = path
        self._settings = settings
        self._pictures = pictures
        self._writers = {}

    def write(
        self, step: int, row: Mapping[str, float], measures: Mapping[str, Any]
    ) -> None:
        """Writes what is known after an epoch.

        Args:
            step: Its number, from 1.
            row: The epoch's of the history.
            measures: What the model says of itself.

        Raises:
            UserError: If the files can't be written.
        """
        # An image that is gone is no fault of these files.
        pictures = self._pictures() if step == 1 else {}
        with writing(self._path):
            if not self._writers:
                self._write_settings()
            numbers = [*_of_row(row), *_of_masks(measures)]
            for part in dict.fromkeys(part for part, _, _ in numbers):
                with self._writer(part).as_default(step):
                    for of, tag, value in numbers:
                        if of == part:
                            tf.summary.scalar(tag, value)
            with self._writer(TRAIN).as_default(step):
                for name, image in pictures.items():
                    tf.summary.image(
                        f"training_images/{name}", image[tf.newaxis]
                    )
            for writer in self._writers.values():
                writer.flush()

    def _writer(self, part):
        if part not in self._writers:
            path = str(self._path / part)
            self._writers[part] = tf.summary.create_file_writer(path)
        return self._writers[part]

    def _write_settings(self) -> None:
        # Takes a while to import, and the chief of a run needs it alone.
        from tensorboard.plugins.hparams import api

        values = {
            name: " ".join(map(str, value))
            if isinstance(value, list | tuple)
            else value
            for name, value in self._settings.items()
            if value is not None
        }
        # In the folder above: its metrics are then those of all parts.
        with self._writer("").as_default(0):
            api.hparams(values)

    def close(self) -> None:
        """Ends the files."""
        for writer in self._writers.values():
            writer.close()


def _of_row(row) -> Iterator[tuple[str, str, float]]:
    """Yields (part of the run, tag, value)."""
    for name, value in row.items():
        if name == "epoch":
            continue
        if name == LOSS:
            yield VALIDATED, "learning/loss", value
        elif name.startswith(VALIDATION):
            yield VALIDATED, f"accuracy/{name.removeprefix(VALIDATION)}", value
        elif name.startswith(_TARGET):
            yield TARGET, f"accuracy/{OVERALL}", value
        elif name == "accuracy":
            yield TRAIN, f"accuracy/{OVERALL}", value
        elif name in _EFFORT:
            yield TRAIN, f"steps/{name}", value
        else:
            yield TRAIN, f"learning/{name}", value


def _of_masks(measures) -> Iterator[tuple[str, str, float]]:
    """Yields (part of the run, tag, value)."""
    for site, pairs in measures.get("mask_iou", {}).items():
        for pair, value in pairs.items():
            name = f"mask_iou_of_pairs/{site}/{pair.replace('|', ' & ')}"
            if pair == "mean":
                name = f"mask_iou/{site}"
            yield TRAIN, name, value
    for site, shares in measures.get("mask_density", {}).items():
        for domain, share in shares.items():
            yield TRAIN, f"mask_density/{site}/{domain}", share
