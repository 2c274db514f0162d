"""Every method's rules are calibrated, and its configuration holds it."""

import types

import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.evaluation.calibrating import calibrate
from dmg_tf.evaluation.metrics.temperature import FEW
from dmg_tf.methods.build import build_model
from dmg_tf.registry import METHODS
from tests.helpers import random_batch

DOMAINS = ("a", "b", "c")


@pytest.fixture
def eagerly():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def images_of(count):
    """What `calibrate` takes of a run's images."""
    batch = random_batch(batch=count, size=32)
    data = types.SimpleNamespace(validation=types.SimpleNamespace(paths=()))
    stream = tf.data.Dataset.from_tensor_slices(batch).batch(16)
    return types.SimpleNamespace(data=data, validation=lambda: stream)


@pytest.mark.parametrize("method", METHODS.names())
def test_every_method(with_stub, eagerly, method):
    model = build_model(method, "stub", 3, DOMAINS, image_size=32)
    calibrate(model, images_of(40))
    rules = [r.name for r in model.rules() if r.shown and not r.needs_domain]
    assert rules and list(model.calibration) == rules
    for own in model.calibration.values():
        assert np.isfinite(own.temperature) and own.temperature > 0
        assert own.images == 40 and own.threshold() is not None
    config = model.get_config()
    again = type(model).from_config(config)
    assert again.calibration == model.calibration
    assert again.get_config() == config


def test_few_images_set_no_threshold(with_stub, eagerly):
    model = build_model("aggregate", "stub", 3, DOMAINS, image_size=32)
    calibrate(model, images_of(FEW - 1))
    (own,) = model.calibration.values()
    assert own.temperature == 1 and own.thresholds == {}
