import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.methods.dsn.losses import difference, mmd_of_pairs
from dmg_tf.methods.dsn.model import thumbnails
from tests.helpers import random_batch

pytestmark = pytest.mark.usefixtures("with_stub")
IDS = tf.constant([0, 2, 2, 0, 0, 2], tf.int32)  # none of domain 1


def make(**options):
    model = build_model(
        "dsn", "stub", 3, ("a", "b", "c"), image_size=32, **options
    )
    model.total_steps = 10
    model.compile("sgd")
    return model


def codes(seed, width, ids=IDS):
    shape = len(ids), width
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def test_difference_of_pairs_in_closed_form():
    shared, private = codes(0, 7).numpy(), codes(1, 5).numpy()
    means = []
    for domain in (0, 2):
        rows = np.flatnonzero(IDS.numpy() == domain)
        parts = []
        for x in (shared[rows], private[rows]):
            x = x - x.mean(axis=0)
            parts.append(x / np.linalg.norm(x, axis=1, keepdims=True))
        products = (parts[0] @ parts[0].T) * (parts[1] @ parts[1].T)
        np.fill_diagonal(products, 0)
        means.append(products.sum() / 6)
    found = difference(tf.constant(shared), tf.constant(private), IDS)
    assert float(found) == pytest.approx(np.mean(means), rel=1e-6)


@pytest.mark.parametrize("form", ["pairs", "authors", "printed", "port"])
def test_a_domain_of_one_image_or_none_gives_no_nan(form):
    ids = tf.constant([0, 0, 0, 2], tf.int32)
    inputs = [codes(0, 7, ids), codes(1, 5, ids)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = difference(*inputs, ids, form)
    for x in (value, *tape.gradient(value, inputs)):
        assert np.all(np.isfinite(x))


def test_a_pair_without_images_has_no_discrepancy():
    pairs = mmd_of_pairs(codes(0, 4), IDS, 3, [1.0]).numpy()
    assert pairs[0] == pairs[2] == 0  # (1, 0) and (2, 1)
    assert pairs[1] > 0


@pytest.mark.parametrize("side", [32, 64, 48, 40])
def test_thumbnails_are_averages(side):
    images = np.random.default_rng(0).normal(size=(2, side, side, 3))
    found = thumbnails(images).numpy().reshape(2, 32, 32, 3)
    expected = tf.image.resize(images, (32, 32), method="area")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_codes_are_made_alike_from_the_start_point_on():
    inputs, _ = random_batch()
    shared, ids = codes(0, 8), tf.constant(inputs["domain_ids"])
    shared = tf.cast(shared, tf.float32)
    adversary, mmd = make(), make(dsn_similarity="mmd")
    strengths, weights = [], []
    for steps in (0, 2, 6, 10):
        for model in (adversary, mmd):
            model.optimizer.iterations.assign(steps)
        _, _, metrics = adversary.similarity(shared, ids)
        strengths.append(float(metrics["reversal"]))
        weights.append(float(mmd.similarity(shared, ids)[0]))
    assert strengths == pytest.approx(
        [0, 0, np.tanh(2.5), np.tanh(5)], abs=1e-5
    )
    assert weights == pytest.approx([0, 0.25, 0.25, 0.25])
    assert "domain_accuracy" not in mmd.tracked()


def test_the_network_gets_no_gradient_through_private_codes():
    model = make()
    inputs, _ = random_batch()
    entry = tf.constant(model.forward(inputs).entry)
    ids = tf.constant(inputs["domain_ids"])
    with tf.GradientTape() as tape:
        tape.watch(entry)
        found = model.private_codes(entry, ids)
    assert tape.gradient(found, entry) is None
    pooled = entry.numpy().mean(axis=(1, 2))
    for row, domain in enumerate(inputs["domain_ids"]):
        encoder = model.private[domain]
        expected = pooled[row] @ encoder.kernel.numpy() + encoder.bias.numpy()
        np.testing.assert_allclose(
            found[row], np.maximum(expected, 0), atol=1e-5
        )


def test_mmd_learns_and_widths_are_checked():
    model = make(dsn_similarity="mmd", dsn_start=0.0)
    logs = model.train_step(tuple(map(_tensors, random_batch())))
    assert float(logs["similarity"]) > 0
    assert all(np.isfinite(float(value)) for value in logs.values())
    with pytest.raises(UserError, match="must be numbers above 0, got 1.0 0.0"):
        make(dsn_mmd_widths=(1.0, 0.0))


def _tensors(x):
    return tf.nest.map_structure(tf.constant, x)
