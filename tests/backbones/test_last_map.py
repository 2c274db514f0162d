import keras
import pytest

from dmg_tf.backbones.blocks import NetworkSpec, PaddedMaxPool
from dmg_tf.backbones.last_map import last_map_reader
from tests.stubs import normed_stub

L = keras.layers


def stage(shape, *layers):
    inputs = x = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    "behind",
    [
        (L.GlobalAveragePooling2D(name="reads"), L.Dense(3)),
        # AlexNet's kind: the activations of a convolution are pooled, put in
        # another order, and are no map any more.
        (
            PaddedMaxPool(name="reads"),
            L.AveragePooling2D(2),
            L.Permute((3, 1, 2)),
            L.Flatten(),
        ),
        (L.Flatten(name="reads"),),
        # MobileNet's kind: a vector keeps its axes.
        (
            L.GlobalAveragePooling2D(keepdims=True, name="reads"),
            L.Conv2D(9, 1),
            L.Flatten(),
        ),
        # What keeps the shape is part of the map.
        (L.Dropout(0.5), L.GlobalMaxPooling2D(name="reads")),
    ],
)
def test_what_reads_the_map(behind):
    first = stage((None, None, 3), L.Conv2D(4, 3))
    middle = stage((16, 16, 4), L.MaxPool2D(), L.Conv2D(5, 3), L.ReLU())
    last = stage((12, 12, 5), L.Conv2D(6, 1), L.ReLU(), *behind)
    found = last_map_reader([first, middle, last, L.Dense(2)])
    assert found.name == "reads"
    assert found.input.shape[-1] == 6


def test_a_registered_backbone():
    stages = normed_stub(NetworkSpec(3)).stages
    found = last_map_reader([keras.Sequential(stages[:1]), *stages[1:]])
    assert isinstance(found, L.GlobalAveragePooling2D)


def test_what_weighs_features_does_not_read_the_map():
    inputs = keras.Input((None, None, 3))
    x = L.Conv2D(6, 3)(inputs)
    weights = L.GlobalAveragePooling2D(keepdims=True)(x)
    x = L.Multiply()([x, L.Dense(6)(weights)])
    block = keras.Model(inputs, x)
    last = stage((None, None, 6), L.GlobalAveragePooling2D(name="reads"))
    assert last_map_reader([block, last]).name == "reads"
    assert last_map_reader([block]) is None


def test_a_network_without_maps():
    tokens = stage((9, 4), L.Dense(5), L.GlobalAveragePooling1D())
    assert last_map_reader([tokens, L.Dense(2)]) is None
