import itertools

import keras
import numpy as np
import pytest

from dmg_tf.backbones.keras_model.stages import cut, passages
from tests.backbones.keras_model.models import branches, residual, tokens

IMAGES = np.random.default_rng(0).normal(size=(2, 32, 32, 3))


@pytest.mark.parametrize(
    "make, names, widths",
    [
        # Where the next convolution reads, behind the shortcut.
        (residual, ["stem", "stage1", "stage2"], [3, 8, 16]),
        (tokens, ["stem", "stage1", "stage2", "stage3"], [3, 6, 6, 6]),
        (branches, ["stem"], [3]),
    ],
)
def test_parts_compute_what_the_model_does(make, names, widths):
    model = make()
    parts = cut(model)
    assert [part.name for part in parts] == names
    assert [part.input.shape[-1] for part in parts] == widths
    x = IMAGES
    for part in parts:
        x = part(x)
    np.testing.assert_array_equal(x, model(IMAGES))
    own = [id(weight) for part in parts for weight in part.weights]
    assert sorted(own) == sorted(id(weight) for weight in model.weights)


def test_every_passage_parts_the_model():
    model = residual()
    found = passages(model)
    assert found[0].tensor is model.inputs[0]
    assert found[-1].tensor is model.outputs[0]
    # In a block: the convolution, its normalisation, activation and sum; and
    # two normalisations before all.
    assert len(found) == 3 + 3 * 4
    for first, second in itertools.pairwise(found):
        keras.Model(first.tensor, second.tensor)  # raises where it is no part


def test_no_cut_between_two_calls_of_a_layer_with_weights():
    inputs = keras.Input((8, 8, 3))
    layer = keras.layers.Conv2D(3, 3, strides=2, padding="same")
    relu = keras.layers.ReLU()
    x = relu(layer(relu(layer(inputs))))
    outputs = keras.layers.Conv2D(4, 1)(x)
    model = keras.Model(inputs, outputs)
    assert [each.place for each in passages(model)] == [0, 4, 5]
    for first, second in itertools.pairwise(passages(model)):
        keras.Model(first.tensor, second.tensor)


def test_a_mask_sits_before_a_layer_that_reads_all_features():
    """Not within a block, where a depthwise convolution follows."""
    layers = keras.layers
    x = inputs = keras.Input((None, None, 3))
    for width in (4, 6):
        x = layers.Conv2D(width, 1, name=f"expand_{width}")(x)
        x = layers.ReLU()(x)
        x = layers.ZeroPadding2D(1)(x)
        x = layers.DepthwiseConv2D(3, strides=2)(x)
        x = layers.Conv2D(width, 1)(x)
    _, first, second = cut(keras.Model(inputs, x))
    assert [first.input.shape[-1], second.input.shape[-1]] == [4, 4]
    assert second.layers[1].name == "expand_6"
