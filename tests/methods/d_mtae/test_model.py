import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.methods.d_mtae.autoencoder import (
    Counterparts,
    encoded,
    first_weights,
    fitted,
    reconstruction_losses,
    total_loss,
)
from tests.methods.source_features import SourceFeatures, assert_fitted, make

pytestmark = pytest.mark.usefixtures("with_stub")


def counterparts(seed=0):
    """24 images; the last class is missing in the last domain."""
    rng = np.random.default_rng(seed)
    labels, ids = np.arange(24) % 4, np.arange(24) // 4 % 3
    labels[(labels == 3) & (ids == 2)] = 0
    features = rng.normal(size=(24, 6)).astype(np.float32)
    return Counterparts.of(features, labels, ids, 4, 3)


def test_drawn_counterparts_are_of_the_class_and_the_domain():
    found = counterparts()
    rows = np.arange(24)
    for lots in (np.zeros((24, 3)), np.full((24, 3), 1 - 1e-7)):
        drawn = found.draw(found.labels, lots.astype(np.float32)).numpy()
        _, counts = found.targets(rows, lots.astype(np.float32))
        for domain in range(3):
            has = counts.numpy()[:, domain] > 0
            chosen = drawn[has, domain]
            assert np.all(found.domain_ids[chosen] == domain)
            assert np.all(found.labels[chosen] == found.labels[has])
    assert np.all(counts.numpy()[found.labels == 3] == [1, 1, 0])


@pytest.mark.parametrize("lots", [None, np.full((24, 3), 0.5, np.float32)])
def test_an_image_is_its_own_counterpart_at_home(lots):
    found = counterparts()
    targets, _ = found.targets(np.arange(24), lots)
    own = targets.numpy()[np.arange(24), found.domain_ids]
    np.testing.assert_array_equal(own, found.features)


def test_a_decoder_without_targets_has_no_loss():
    counts = tf.constant([[1.0, 0.0], [1.0, 0.0]])
    losses = reconstruction_losses(
        tf.ones((2, 2, 3)), tf.zeros((2, 2, 3)), counts
    )
    np.testing.assert_array_equal(losses, [3.0, 0.0])


def test_a_fit_is_a_function_of_its_seed_and_brings_the_loss_down():
    found = counterparts()
    options = make("d_mtae", d_mtae_width=5, d_mtae_epochs=60).options
    first, second = fitted(found, options, 3), fitted(found, options, 3)
    other = fitted(found, options, 4)
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first.kernel, other.kernel)

    def loss(weights):
        targets = found.targets(np.arange(24))
        return float(total_loss(weights, found.features, *targets, "tanh", 0.0))

    assert loss(first) < 0.9 * loss(first_weights(6, 5, 3, 3))


@pytest.mark.parametrize(
    "options",
    [{}, {"d_mtae_activation": "sigmoid", "d_mtae_targets": "partner"}],
)
def test_codes_predict_and_are_kept_with_the_model(options, tmp_path):
    model = make("d_mtae", d_mtae_width=16, d_mtae_epochs=30, **options)
    source = SourceFeatures(model)
    images = source.images("validation")[0]
    before = model.logits(images)
    model.before_validation(source)
    logits = assert_fitted(model, source)
    np.testing.assert_array_equal(
        model({"image": images}, training=True), before
    )
    assert not any("head" in w.path for w in model.trainable_weights)
    assert model.head in model.inference_layers()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.logits(images), logits)


def test_the_encoder_takes_features_as_they_are():
    model = make("d_mtae", d_mtae_width=5, d_mtae_epochs=1)
    source = SourceFeatures(model)
    model.before_validation(source)
    hidden, labels, ids = (
        np.concatenate(x) for x in zip(*source.features("train"), strict=True)
    )
    scale = np.where(hidden.std(0) > 0, hidden.std(0), 1.0)
    standard = (hidden - hidden.mean(0)) / scale
    found = Counterparts.of(standard, labels, ids, 4, 3)
    weights = fitted(found, model.options, model.seed)
    codes = encoded(weights, standard, "tanh")
    np.testing.assert_allclose(model.head.codes(hidden), codes, atol=1e-4)
