"""One device and two end with the same weights and the same predictions."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.data.folder import load
from dmg_tf.data.pipeline import ImageSpec, TrainingStream, evaluation_dataset
from dmg_tf.errors import UserError
from dmg_tf.evaluation import Evaluator
from dmg_tf.methods.build import build_model
from dmg_tf.training.distribution import (
    check_batch_size,
    even_batch_size,
    is_chief,
    make_strategy,
    prepare_fit,
    share,
    training_dataset,
)
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch

STEPS = 5


@pytest.fixture(scope="module")
def data(tiny_folder):
    return load(tiny_folder, "c")


def make(strategy, method="dmg", backbone="alexnet", optimizer="adam"):
    with strategy.scope():
        model = build_model(
            method,
            backbone,
            3,
            ("a", "b"),
            image_size=32,
            siou_weight=10.0,  # a penalty counted twice would show
        )
        model.compile(optimizer=OPTIMIZERS[optimizer](1e-3, l2=1e-2))
        model.optimizer.build(model.trainable_variables)
    prepare_fit(model)
    return model


def trained(strategy, data, augment="none", start=0, **kwargs):
    """Returns a model after a few steps, and the logs of its epoch."""
    model = make(strategy, **kwargs)
    spec = ImageSpec(32, model.mean, model.std, augment)
    stream = TrainingStream(data.train, spec, 8, seed=3)
    history = model.fit(
        training_dataset(strategy, stream, start),
        steps_per_epoch=STEPS,
        shuffle=False,
        verbose=0,
    )
    return model, {name: v[0] for name, v in history.history.items()}


def assert_equal_weights(first, second, atol=1e-5):
    for one, two in zip(first.weights, second.weights, strict=True):
        np.testing.assert_allclose(one, two, atol=atol, rtol=0, err_msg=one.path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method,augment,optimizer",
    [("dmg", "none", "adam"), ("dmg", "pacs", "sgd"), ("aggregate", "pacs", "adam")],
)
def test_two_devices_train_as_one(data, method, augment, optimizer):
    runs = [
        trained(make_strategy(name), data, augment, method=method, optimizer=optimizer)
        for name in ("one", "mirrored")
    ]
    (one, one_logs), (two, two_logs) = runs
    assert two.distribute_strategy.num_replicas_in_sync == 2
    assert_equal_weights(one, two)
    assert one_logs == pytest.approx(two_logs, rel=1e-4)
    fresh = make(make_strategy("one"), method, optimizer=optimizer)
    for trained_weight, start in zip(one.weights, fresh.weights, strict=True):
        assert np.abs(trained_weight.numpy() - start.numpy()).max() > 1e-4
