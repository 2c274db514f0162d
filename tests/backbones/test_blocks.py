import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.backbones.alexnet.network import AdaptiveAveragePool
from dmg_tf.backbones.blocks import (
    NetworkSpec,
    PaddedConv2D,
    PaddedMaxPool,
    classifier,
    place_seed,
    uniform_bias,
)
from tests.helpers import assert_layer_contract


def images(size=9, channels=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, size, size + 1, channels)).astype(np.float32)


@pytest.mark.parametrize(
    "kernel,stride,pixels",
    [(3, 1, 1), (3, 2, 1), (7, 2, 3), (1, 2, 0), (5, 1, 0)],
)
def test_convolution_pads_both_sides_alike(kernel, stride, pixels):
    def make():
        return PaddedConv2D(4, kernel, pixels=pixels, strides=stride)

    inputs = images()
    assert_layer_contract(make, inputs, trainable=2, float32_weights=True)
    layer = make()
    outputs = layer(inputs)
    pad = [[0, 0], [pixels] * 2, [pixels] * 2, [0, 0]]
    expected = tf.nn.conv2d(
        np.pad(inputs, pad), layer.kernel.value, stride, "VALID"
    )
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


@pytest.mark.parametrize("pixels,size", [(0, 9), (1, 9), (0, 2), (0, 1)])
def test_max_pool_matches_numpy(pixels, size):
    inputs = np.abs(images(size))
    assert_layer_contract(lambda: PaddedMaxPool(pixels), inputs)
    outputs = PaddedMaxPool(pixels)(inputs).numpy()
    padded = np.pad(inputs, [[0, 0], [pixels] * 2, [pixels] * 2, [0, 0]])
    for y in range(outputs.shape[1]):
        for x in range(outputs.shape[2]):
            window = padded[:, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
            np.testing.assert_array_equal(outputs[:, y, x], window.max((1, 2)))


@pytest.mark.parametrize("side,size", [(6, 6), (13, 6), (1, 6), (7, 3), (5, 6)])
def test_adaptive_pool_has_pytorch_bins(side, size):
    inputs = images(side)
    assert_layer_contract(lambda: AdaptiveAveragePool(size), inputs)
    outputs = AdaptiveAveragePool(size)(inputs).numpy()
    height, width = inputs.shape[1:3]
    for y in range(size):
        for x in range(size):
            rows = slice(y * height // size, -(-(y + 1) * height // size))
            columns = slice(x * width // size, -(-(x + 1) * width // size))
            np.testing.assert_allclose(
                outputs[:, y, x],
                inputs[:, rows, columns].mean((1, 2)),
                atol=1e-5,
            )


def test_initial_weights_depend_on_name_and_seed():
    assert place_seed("fc", 0) != place_seed("fc", 1)
    assert place_seed("fc", 0) != place_seed("conv1", 0)
    assert place_seed("fc", 0) == place_seed("fc", 0)


@pytest.mark.parametrize("init", ["pytorch", "normal"])
def test_classifier_starts_as_the_paper_says(init):
    layer = classifier("fc", 400, NetworkSpec(100, classifier_init=init))
    layer.build((None, 400))
    kernel, bias = layer.kernel.numpy(), layer.bias.numpy()
    if init == "pytorch":
        bound = 400**-0.5
        assert 0.99 * bound < np.abs(kernel).max() <= bound
        assert np.abs(bias).max() <= bound and np.abs(bias).min() > 0
        assert abs(kernel.std() - bound / 3**0.5) < 0.01 * bound
    else:
        # 40,000 draws: the deviation is known to 1 / sqrt(80,000)
        assert abs(kernel.std() / 0.001 - 1) < 5 / 80_000**0.5
        assert not bias.any()


def test_bias_bound_is_that_of_the_fan_in():
    values = uniform_bias("x", 25, 0)((1000,)).numpy()
    assert 0.19 < np.abs(values).max() <= 0.2
