import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.methods.dmg.domain_mask import DomainMask, straight_through
from tests.helpers import assert_layer_contract

IDS = np.array([0, 2, 1, 0], np.int32)


@pytest.mark.parametrize("shape", [(4, 5), (4, 3, 2, 5)])
def test_contract(shape):
    inputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert_layer_contract(
        lambda: DomainMask(3),
        inputs,
        {"domain_ids": IDS},
        trainable=1,
    )


def test_starts_from_the_unit_interval():
    mask = DomainMask(3, seed=1)
    mask.build((None, 4000))
    logits = mask.mask_logits.numpy()
    assert logits.shape == (3, 4000) and logits.dtype == np.float32
    assert 0 <= logits.min() < 0.001 and 0.999 < logits.max() < 1
    # the mean of 12,000 draws of U(0, 1) lies within five standard errors
    assert abs(logits.mean() - 0.5) < 5 * np.sqrt(1 / 12 / logits.size)


@pytest.mark.parametrize("inner", [(), (5,), (2, 2)])
def test_scales_by_the_soft_mask_outside_training(inner):
    mask = DomainMask(3)
    inputs = np.random.default_rng(0).normal(size=(4, *inner, 6))
    outputs = mask(inputs.astype(np.float32), domain_ids=IDS)
    probs = 1 / (1 + np.exp(-mask.mask_logits.numpy()))
    scale = probs[IDS].reshape(4, *(1 for _ in inner), 6)
    np.testing.assert_allclose(outputs, inputs * scale, rtol=1e-5)


def test_training_keeps_or_drops_whole_channels_an_image():
    mask = DomainMask(3)
    outputs = mask(
        np.ones((4, 5, 5, 64), np.float32), IDS, training=True
    ).numpy()
    assert set(np.unique(outputs)) == {0.0, 1.0}
    assert np.all(outputs == outputs[:, :1, :1, :])
    rows = outputs[:, 0, 0, :]
    # images of one domain draw apart
    assert not np.array_equal(rows[0], rows[3])


def test_sampling_frequency():
    mask = DomainMask(2)
    mask.build((None, 3))
    mask.mask_logits.assign([[-2.0, 0.0, 2.0], [5.0, -5.0, 1.0]])
    n = 20_000
    ids = np.arange(n) % 2
    kept = mask(np.ones((n, 3), np.float32), ids, training=True).numpy()
    probs = mask.mask_probs.numpy()
    for domain in (0, 1):
        share = kept[ids == domain].mean(axis=0)
        p = probs[domain]
        assert np.all(np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / (n / 2)))


def test_gradient_is_straight_through():
    mask = DomainMask(3)
    inputs = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    mask.build(inputs.shape)
    drawn = np.random.default_rng(1).integers(0, 2, (4, 5)).astype(np.float32)
    mask.draw = lambda mask_probs: tf.constant(drawn)
    upstream = np.random.default_rng(2).normal(size=(4, 5)).astype(np.float32)
    with tf.GradientTape() as tape:
        x = tf.constant(inputs)
        tape.watch(x)
        loss = tf.reduce_sum(mask(x, IDS, training=True) * upstream)
    by_logits, by_inputs = tape.gradient(loss, [mask.mask_logits.value, x])
    # d loss / d mask = upstream * input, whatever was drawn; then σ'
    p = mask.mask_probs.numpy()
    expected = np.zeros((3, 5), np.float32)
    np.add.at(expected, IDS, upstream * inputs)
    np.testing.assert_allclose(by_logits, expected * p * (1 - p), rtol=1e-4)
    np.testing.assert_allclose(by_inputs, upstream * drawn, rtol=1e-6)


def test_straight_through_passes_the_sample_on():
    sample, probs = tf.constant([[1.0, 0.0]]), tf.constant([[0.2, 0.9]])
    np.testing.assert_array_equal(straight_through(sample, probs), sample)


def test_draws_depend_on_seed_and_count_alone():
    def draws(seed):
        mask = DomainMask(2, seed=seed)
        ones = np.ones((3, 50), np.float32)
        return [
            mask(ones, np.array([0, 1, 0]), training=True).numpy()
            for _ in range(3)
        ]

    first, second, other = draws(3), draws(3), draws(4)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other[0])


def test_scale_overrides_the_domains():
    mask = DomainMask(2)
    outputs = mask(
        np.ones((2, 3), np.float32), scale=tf.constant([1.0, 0, 0.5])
    )
    np.testing.assert_array_equal(outputs, [[1, 0, 0.5]] * 2)


@pytest.mark.parametrize(
    "make,match",
    [
        (lambda: DomainMask(1), "at least 2, got 1"),
        (lambda: DomainMask(2).build((None,)), "got shape"),
        (
            lambda: DomainMask(2)(np.ones((1, 2), np.float32)),
            "needs `domain_ids`",
        ),
    ],
)
def test_errors(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_float_domain_ids_are_taken():
    # Keras hands integers over as floats when it builds a model.
    mask = DomainMask(2)
    ids = keras.ops.convert_to_tensor([0.0, 1.0])
    assert mask(np.ones((2, 3), np.float32), ids).shape == (2, 3)
