"""What TensorBoard shows of a run."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from dmg_tf.files import writing
from dmg_tf.training.selection import VALIDATION


class Summaries:
    """Writes numbers and pictures of a run for TensorBoard.

    Args:
        path: The folder of the event files; made with the first of them.
        pictures: Returns {name: float [H, W, 3] in [0, 1]}, to be shown once.
    """

    def __init__(
        self,
        path: pathlib.Path,
        pictures: Callable[[], Mapping[str, np.ndarray]],
    ):
        self._path = path
        self._pictures = pictures
        self._writer = None

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
            if self._writer is None:
                self._writer = tf.summary.create_file_writer(str(self._path))
            with self._writer.as_default(step):
                _write_row(row)
                _write_masks(measures)
                for name, image in pictures.items():
                    tf.summary.image(f"images/{name}", image[tf.newaxis])
            self._writer.flush()

    def close(self) -> None:
        """Ends the files."""
        if self._writer:
            self._writer.close()


def _write_row(row):
    for name, value in row.items():
        if name == "epoch":
            continue
        group = "validation" if name.startswith(VALIDATION) else "training"
        tf.summary.scalar(f"{group}/{name.removeprefix(VALIDATION)}", value)


def _write_masks(measures):
    for site, pairs in measures.get("mask_iou", {}).items():
        for pair, value in pairs.items():
            name = f"mask_iou_of_pairs/{site}/{pair.replace('|', ' & ')}"
            if pair == "mean":
                name = f"mask_iou/{site}"
            tf.summary.scalar(name, value)
    for site, shares in measures.get("mask_density", {}).items():
        for domain, share in shares.items():
            tf.summary.scalar(f"mask_density/{site}/{domain}", share)
