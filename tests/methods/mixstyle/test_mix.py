import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.methods.mixstyle.mix import Draw, StyleMixer
from tests.helpers import assert_layer_contract

MAPS = np.random.default_rng(0).normal(2, 3, (6, 4, 5, 7)).astype(np.float32)


def test_contract():
    assert_layer_contract(lambda: StyleMixer(seed=1), MAPS)


def test_a_mixed_map_has_a_mixed_style():
    mixer = StyleMixer(1.0, 1.0, seed=2)
    drawn = []
    draw = mixer.draw
    mixer.draw = lambda *args: drawn.append(draw(*args)) or drawn[-1]
    mixed = mixer(MAPS, training=True).numpy()
    ((_, partners, shares),) = drawn
    assert sorted(partners.numpy()) == list(range(6))
    shares = shares.numpy()[:, np.newaxis]
    for statistic in (np.mean, np.std):
        own = statistic(MAPS, axis=(1, 2))
        expected = shares * own + (1 - shares) * own[partners.numpy()]
        found = statistic(mixed, axis=(1, 2))
        np.testing.assert_allclose(found, expected, atol=1e-5)
    # What is left when the style is taken off is the image's own.
    for maps in (MAPS, mixed):
        maps -= maps.mean((1, 2), keepdims=True)
        maps /= maps.std((1, 2), keepdims=True)
    np.testing.assert_allclose(mixed, MAPS, atol=1e-5)


def test_a_gradient_does_not_reach_the_statistics():
    mixer = StyleMixer(1.0, seed=2)
    maps = tf.constant(np.random.default_rng(1).normal(size=(2, 3, 3, 1)))
    maps = tf.cast(maps, tf.float32)
    mixer.draw = lambda *_: Draw(
        tf.constant(True), tf.constant([1, 0]), tf.constant([0.25, 0.75])
    )
    with tf.GradientTape() as tape:
        tape.watch(maps)
        total = tf.reduce_sum(mixer(maps, training=True))
    std = np.std(maps, axis=(1, 2, 3), ddof=1)
    share = np.float32([0.25, 0.75])
    scale = (share * std + (1 - share) * std[::-1]) / std
    found = tape.gradient(total, maps)
    expected = np.broadcast_to(scale.reshape(2, 1, 1, 1), maps.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_coin_is_the_batch_s():
    mixer = StyleMixer(0.3, 1.0, seed=3)
    draw = tf.function(lambda: mixer.draw(6).mixes)
    coins = [bool(draw()) for _ in range(200)]
    assert sum(coins) == pytest.approx(60, abs=4 * (200 * 0.3 * 0.7) ** 0.5)
    for mixes in (False, True):
        drawn = Draw(tf.constant(mixes), tf.range(6)[::-1], tf.zeros(6))
        mixer.draw = lambda *_, drawn=drawn: drawn
        same = np.array_equal(mixer(MAPS, training=True), MAPS)
        assert same != mixes
    np.testing.assert_array_equal(mixer(MAPS), MAPS)


def test_partners_are_of_other_domains_and_all_come_up():
    mixer = StyleMixer(partners="crossdomain", seed=4)
    ids = tf.constant([2, 0, 0, 1, 0, 2])
    draw = tf.function(lambda: mixer.draw(6, ids).partners)
    found = {}
    for _ in range(100):
        for row, partner in enumerate(draw().numpy()):
            found.setdefault(row, set()).add(int(partner))
    for row, partners in found.items():
        assert partners == {i for i in range(6) if ids[i] != ids[row]}
    # A batch of one domain stays as it is.
    partners = mixer.draw(3, tf.constant([1, 1, 1])).partners
    np.testing.assert_array_equal(partners, [0, 1, 2])


def test_half_precision_keeps_statistics_in_float32():
    mixer = StyleMixer(1.0, seed=2, dtype="mixed_float16")
    # Squares of these don't fit 16 bits.
    maps = 1000 * MAPS
    mixed = mixer(maps, training=True)
    assert mixed.dtype == tf.float16
    expected = StyleMixer(1.0, seed=2)(np.float16(maps), training=True)
    np.testing.assert_allclose(mixed, expected, rtol=2e-3)


def test_a_vector_has_no_style():
    with pytest.raises(ValueError, match=r"maps .*got shape \(6, 7\)"):
        StyleMixer()(MAPS[:, 0, 0])


def test_can_be_compiled_by_xla():
    mixer = StyleMixer(1.0, partners="crossdomain", seed=2)

    @tf.function(jit_compile=True)
    def mix(maps, ids):
        return mixer(maps, domain_ids=ids, training=True)

    assert np.isfinite(mix(MAPS, tf.constant([0, 0, 1, 1, 2, 2]))).all()
