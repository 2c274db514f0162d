"""Grad-CAM against its closed form: class weights times features."""

import keras
import numpy as np
import pytest

from dmg_tf.evaluation.grad_cam import GradCam
from dmg_tf.evaluation.scoring import dtype_policy
from tests.export.helpers import DOMAINS, make
from tests.helpers import methods_that_predict_otherwise, random_batch

pytestmark = pytest.mark.usefixtures("with_stub")
IMAGES = random_batch(batch=4)[0]["image"]


@pytest.fixture(scope="module")
def dmg(with_stub):
    return make("dmg", "stub")


def features_of(model, masks):
    """What the stub's last convolution gives under masks on its input."""
    body, _ = model.task_network.stages
    until = keras.Model(body.input, body.layers[-1].input)
    return until(model.feature_extractor(IMAGES) * masks).numpy()


def closed_form(features, kernel, class_ids):
    """ReLU of the mean over space's weights, times the features."""
    places = features.shape[1] * features.shape[2]
    weights = kernel[:, class_ids].T / places  # [B, F]
    return np.maximum(np.einsum("bhwf,bf->bhw", features, weights), 0)


def test_one_network():
    model = make("aggregate", "stub")
    cam = GradCam(model)
    class_ids, maps = cam(IMAGES)
    assert cam.possible and [rule.name for rule in cam.rules] == ["pred_ens"]
    np.testing.assert_array_equal(class_ids, np.argmax(model.logits(IMAGES), 1))
    kernel = model.task_network.stages[-1].kernel.numpy()
    expected = closed_form(features_of(model, 1.0), kernel, class_ids)
    assert maps.shape == (4, 1, 8, 8) and maps.max() > 0
    np.testing.assert_allclose(maps[:, 0], expected, rtol=1e-4, atol=1e-6)


def test_each_mask_acts_before_and_behind_the_map(dmg):
    cam = GradCam(dmg)
    class_ids, maps = cam(IMAGES)
    assert [rule.domain for rule in cam.rules] == list(DOMAINS)
    # One class for all masks, though they may say others themselves.
    np.testing.assert_array_equal(class_ids, np.argmax(dmg.logits(IMAGES), 1))
    kernel = dmg.task_network.stages[-1].kernel.numpy()
    for i in range(3):
        body, fc = (m.mask_probs.numpy()[i] for m in dmg.domain_masks.values())
        features = features_of(dmg, body)
        expected = closed_form(features, fc[:, None] * kernel, class_ids)
        np.testing.assert_allclose(maps[:, i], expected, rtol=1e-4, atol=1e-6)
    assert np.abs(maps[:, 0] - maps[:, 1]).max() > 0.01 * maps.max()
    # The layer is as it was.
    assert "call" not in vars(dmg.task_network.stages[0].layers[-1])


def test_equal_masks_see_the_same():
    model = make("dmg", "stub")
    for mask in model.domain_masks.values():
        mask.mask_logits.assign(np.ones_like(mask.mask_logits))
    maps = GradCam(model)(IMAGES)[1]
    assert maps.max() > 0
    np.testing.assert_allclose(maps[:, 1:], maps[:, :2], rtol=1e-6)


def test_a_frozen_network_in_16_bits(dmg):
    with dtype_policy("mixed_bfloat16"):
        model = make("dmg", "stub")
    model.feature_extractor.trainable = False
    maps = GradCam(model)(IMAGES)[1]
    exact = GradCam(dmg)(IMAGES)[1]
    assert maps.dtype == np.float32
    assert np.abs(maps - exact).max() < 0.1 * exact.max()


@pytest.mark.parametrize("method", methods_that_predict_otherwise())
def test_every_method_has_maps(method):
    cam = GradCam(make(method, "stub"))
    _, maps = cam(IMAGES)
    assert maps.shape == (4, len(cam.rules), 8, 8)
    assert np.isfinite(maps).all() and maps.max() > 0
