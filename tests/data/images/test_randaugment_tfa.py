import sys

import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.data.images import randaugment, randaugment_tfa
from dmg_tf.errors import UserError
from tests.data.images.pictures import numbers, picture

with_addons = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="TensorFlow Addons has no wheels here"
)


@with_addons
@pytest.mark.parametrize("name", randaugment.OPERATIONS)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_operations_are_those_without_it(name, sign):
    # Neither whole numbers nor a round side.
    image = tf.constant(picture(61, 61) * np.float32(0.99), tf.float32)
    ours, theirs = (
        module.OPERATIONS[name](image, tf.constant(sign))
        for module in (randaugment, randaugment_tfa)
    )
    np.testing.assert_array_equal(ours, theirs)


@with_addons
def test_augmented_images_are_those_without_it():
    image = tf.constant(picture(48, 48), tf.float32)

    @tf.autograph.experimental.do_not_convert
    def both(values):
        return tf.stack(
            [
                randaugment.rand_augment(image, values, module.OPERATIONS)
                for module in (randaugment, randaugment_tfa)
            ]
        )

    drawn = np.stack([numbers(4, seed) for seed in range(40)])
    dataset = tf.data.Dataset.from_tensor_slices(drawn).map(both)
    for ours, theirs in dataset.as_numpy_iterator():
        np.testing.assert_array_equal(ours, theirs)


def test_without_addons_there_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_addons", None)
    with pytest.raises(
        UserError, match="--augment randaugment_tfa needs .* use --augment rand"
    ) as raised:
        randaugment_tfa.addons()
    assert "\n" not in str(raised.value)
