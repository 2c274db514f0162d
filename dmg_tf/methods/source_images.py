"""The images that a method may look at around the steps."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

Split = Literal["train", "validation"]


class SourceImages(Protocol):
    """The sources' images, unaugmented, in a fixed order.

    Those of the target can't be had through it. On several machines each has
    all of them.
    """

    def batches(self, split: Split) -> "tf.data.Dataset":
        """Returns all images of a split once.

        Args:
            split: "train" or "validation".

        Returns:
            Dataset of ({"image": float32 [B, H, W, 3], normalised,
            "domain_ids": int32 [B]}, labels int32 [B]); the last batch may be
            smaller.
        """

    def features(
        self, split: Split
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yields what the model's `embed` makes of all images of a split once.

        Args:
            split: "train" or "validation".

        Yields:
            A batch's (hidden float32 [B, F], labels int32 [B], domain ids
            int32 [B]).
        """
