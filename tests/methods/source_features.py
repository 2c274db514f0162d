"""Features of a network's source images, as a method gets them."""

import numpy as np
import tensorflow as tf

from dmg_tf.methods.build import build_model
from tests.helpers import random_batch

DOMAINS, CLASSES = ("a", "b", "c"), 4


def make(method, **options):
    """Returns the method's model of the stub."""
    return build_model(
        method, "stub", CLASSES, DOMAINS, image_size=16, **options
    )


class SourceFeatures:
    """The features of some random images, some of which show their class.

    Args:
        model: Gives the features.
        count: Number of images of each split.
    """

    def __init__(self, model, count=96):
        self._model = model
        self._splits = {}
        for seed, split in enumerate(("train", "validation")):
            inputs, labels = random_batch(
                count, 16, CLASSES, len(DOMAINS), seed
            )
            shown = 2.0 * np.eye(CLASSES)[labels][:, None, None, :3]
            images = tf.constant(inputs["image"] + shown, tf.float32)
            self._splits[split] = images, labels, inputs["domain_ids"]

    def images(self, split):
        """Returns images, labels and domain ids of a split."""
        return self._splits[split]

    def features(self, split):
        """Yields features, labels and domain ids in batches."""
        images, *rest = self._splits[split]
        hidden = self._model.embed(images).numpy()
        for start in range(0, len(hidden), 40):
            part = slice(start, start + 40)
            yield hidden[part], *(x[part] for x in rest)


def assert_fitted(model, source):
    """Checks that fitted predictions tell the classes and are not flat."""
    images, labels, _ = source.images("validation")
    logits = model.logits(images).numpy()
    assert np.mean(logits.argmax(-1) == labels) > 0.7
    probs = tf.nn.softmax(logits).numpy()
    own = probs[np.arange(len(labels)), labels]
    # Better than what knows nothing, which says 1 / C.
    assert -np.log(own).mean() < 0.7 * np.log(CLASSES)
    return logits
