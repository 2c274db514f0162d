import itertools

import numpy as np
import pytest

from dmg_tf.data.datasets.folder import load
from dmg_tf.data.streams.evaluation import ImageSpec
from dmg_tf.data.streams.training import TrainingStream
from dmg_tf.training.tensorboard.pictures import first_pictures

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


@pytest.mark.parametrize("augment", ["crop_and_jitter", "none"])
def test_they_are_what_training_sees(tiny_folder, augment):
    data = load(str(tiny_folder), "c", None, 0)
    spec = ImageSpec(32, MEAN, STD, augment)
    stream = TrainingStream(data.train, spec, 16, seed=3)
    found = first_pictures(stream, data)
    assert list(found) == [f"{d}/{c}" for d in "ab" for c in "xyz"]
    seen = {}
    for inputs, labels in itertools.islice(
        stream.dataset(), stream.steps_per_epoch
    ):
        for image, domain, label in zip(
            inputs["image"].numpy(),
            inputs["domain_ids"].numpy(),
            labels.numpy(),
            strict=True,
        ):
            seen.setdefault(f"{'ab'[domain]}/{'xyz'[label]}", image)
    for name, picture in found.items():
        assert picture.shape == (32, 32, 3) and picture.dtype == np.float32
        expected = np.clip(seen[name] * STD + MEAN, 0, 1)
        np.testing.assert_allclose(picture, expected, atol=1e-5)
