"""Dropout where masks would be: a control for DMG."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.methods.aggregate.site_dropout import SiteDropout
from dmg_tf.methods.build import build_model
from tests.helpers import assert_layer_contract, random_batch

DOMAINS = ("a", "b", "c")
RATE = 0.38


def make(method="aggregate", **options):
    return build_model(method, "stub", 4, DOMAINS, image_size=32, **options)


@pytest.mark.parametrize("shape", [(4, 5), (4, 3, 2, 5)])
def test_contract(shape):
    inputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert_layer_contract(lambda: SiteDropout(RATE, seed=3), inputs)


def test_units_are_dropped_at_the_rate_and_kept_as_they_are():
    rows, units = 1000, 50
    inputs = np.full((rows, 2, 2, units), 3.0, np.float32)
    found = SiteDropout(RATE)(inputs, training=True).numpy()
    assert set(np.unique(found)) == {0.0, 3.0}  # nothing makes up for others
    assert np.all(found == found[:, :1, :1])  # a whole channel
    kept = found[:, 0, 0] > 0
    error = np.sqrt(RATE * (1 - RATE) / kept.size)
    assert abs(kept.mean() - (1 - RATE)) < 5 * error
    assert not np.array_equal(kept[0], kept[1])  # anew for each image
    assert kept.any(axis=0).all()  # and for each unit


def test_predictions_scale_by_what_is_kept(with_stub):
    """Those of masks whose probabilities are all equal."""
    plain, dropping, masked = make(), make(site_dropout=RATE), make("dmg")
    logit = np.log((1 - RATE) / RATE)
    for mask in masked.domain_masks.values():
        mask.mask_logits.assign(tf.fill(mask.mask_logits.shape, logit))
    for one, other in zip(plain.weights, dropping.weights, strict=False):
        np.testing.assert_array_equal(one, other)
    image = random_batch(classes=4)[0]["image"]
    found = dropping.logits(image)
    np.testing.assert_allclose(found, masked.logits(image), atol=1e-6)
    assert np.abs(found - plain.logits(image)).max() > 1e-3


def test_steps_are_those_of_masks_that_are_all_alike(with_stub):
    """The same units are dropped, and the same gradients come of it."""
    dropping, masked = make(site_dropout=RATE, seed=5), make("dmg", seed=5)
    logit = np.log((1 - RATE) / RATE)
    for mask in masked.domain_masks.values():
        mask.mask_logits.assign(tf.fill(mask.mask_logits.shape, logit))
    inputs, labels = random_batch(classes=4)
    gradients = []
    for model in (dropping, masked):
        model.compile(keras.optimizers.SGD(0.1))
        with tf.GradientTape() as tape:
            loss = model.cross_entropy(
                labels, model.forward(inputs, training=True).logits
            )
        gradients.append(tape.gradient(loss, model.network_weights()))
    for one, other in zip(gradients[0], gradients[1], strict=False):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_rate_of_zero_is_aggregate(with_stub):
    model = make(site_dropout=0.0)
    assert type(model.task_network) is type(make().task_network)
    assert model.describe() == ()


def test_a_saved_model_goes_on_dropping(with_stub, tmp_path):
    model = make(site_dropout=RATE)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.options.site_dropout == RATE
    inputs, _ = random_batch(classes=4)
    np.testing.assert_array_equal(
        loaded.logits(inputs["image"]), model.logits(inputs["image"])
    )
    drawn = [loaded(inputs, training=True).numpy() for _ in range(2)]
    assert not np.array_equal(*drawn)


def test_a_backbone_s_own_dropout_rests(with_stub):
    """As that of AlexNet does in DMG."""
    assert make().dropout and not make(site_dropout=RATE).dropout


@pytest.mark.parametrize("trained", ["task_network", "classifier"])
def test_a_part_that_learns_alone_drops_too(with_stub, trained):
    model = make(site_dropout=RATE, trained=trained)
    begin = {"task_network": "body", "classifier": "fc"}[trained]
    assert model.task_network.stages[0].name == begin
    assert list(model.task_network.dropouts) == (
        ["body", "fc"] if trained == "task_network" else ["fc"]
    )
