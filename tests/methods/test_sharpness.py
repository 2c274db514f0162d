"""Every method can look nearby for its gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.experiment import run_training
from dmg_tf.methods.build import build_model
from dmg_tf.methods.sharpness import Sharpness
from dmg_tf.registry import BACKBONES, METHODS
from tests.conftest import ROOT
from tests.golden.checks.files import Recorder
from tests.helpers import random_batch
from tests.stubs import NORMED
from tests.training.runs import short_run

DOMAINS = ("a", "b", "c")
RADIUS = 0.1


@pytest.fixture(scope="module", autouse=True)
def normed(with_stub):
    """Knows the stub with batch normalisation."""
    with BACKBONES.with_name("normed", NORMED):
        yield


def make(method):
    model = build_model(method, "normed", 4, DOMAINS, image_size=32)
    model.total_steps = 10
    model.compile(Recorder())
    further = {name: Recorder() for name in model.trained_apart()}
    model.use_optimizers(further)
    return model


def state_of(model):
    return [(v, v.numpy()) for v in model.variables]


def put_back(model, state):
    for variable, value in state:
        variable.assign(value)
    for optimizer in model.optimizers.values():
        optimizer.iterations.assign(0)  # some methods' steps depend on it


def gradients_of(model, variables):
    return [np.asarray(model.optimizer.of(v), np.float64) for v in variables]


# A method does not see which kind it is: a few stand for all.
@pytest.mark.parametrize(
    "method,kind",
    [
        *((method, "sam") for method in METHODS.names()),
        *((method, "sagm") for method in ("aggregate", "dmg", "mldg")),
    ],
)
def test_the_gradient_is_that_of_the_neighbour(method, kind):
    model, data = make(method), random_batch(batch=12, classes=4)
    start = state_of(model)
    variables = model.trained_by("main")
    model.train_step(data)
    here = gradients_of(model, variables)
    moved = {v.path: v.numpy() for v in model.non_trainable_variables}
    put_back(model, start)
    alpha = 0.01 if kind == "sagm" else 0.0
    norm = np.sqrt(sum(np.sum(g**2) for g in here))
    for variable, gradient in zip(variables, here, strict=True):
        variable.assign_add((RADIUS / norm - alpha) * gradient)
    model.train_step(data)
    expected = gradients_of(model, variables)
    if kind == "sagm":
        expected = [(a + b) / 2 for a, b in zip(here, expected, strict=True)]
    put_back(model, start)
    model.sharpness = Sharpness(kind=kind, radius=RADIUS, alpha=alpha)
    model.train_step(data)
    largest = max(np.max(np.abs(g)) for g in expected)
    found = gradients_of(model, variables)
    for variable, mine, theirs in zip(variables, found, expected, strict=True):
        np.testing.assert_allclose(
            mine, theirs, rtol=1e-4, atol=1e-5 * largest, err_msg=variable.path
        )
    # Neither moves what the first pass moved.
    for variable in model.non_trainable_variables:
        if variable.path in moved and "optimizer" not in variable.path:
            np.testing.assert_array_equal(
                variable.numpy(), moved[variable.path], variable.path
            )


def test_the_scale_of_the_loss_has_no_part():
    sharpness = Sharpness(kind="sagm", radius=0.05, alpha=0.01)
    gradients = [tf.constant([3.0, 4.0]), None, tf.constant([[12.0]])]
    plain = sharpness.offsets(gradients)
    scaled = [None if g is None else 64 * g for g in gradients]
    scaled = sharpness.offsets(scaled, scale=64.0)
    assert plain[1] is None and scaled[1] is None
    for a, b in zip(plain[::2], scaled[::2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_allclose(
        plain[0], (0.05 / 13 - 0.01) * np.array([3.0, 4.0]), rtol=1e-6
    )


def test_two_devices_are_one(tiny_folder, tmp_path):
    found = []
    for strategy in ("one", "mirrored"):
        config = short_run(
            tiny_folder,
            tmp_path / strategy,
            strategy=strategy,
            batch_size=16,
            epochs=2,
            optimizer="sgd",
            sharpness="sagm",
            sharpness_radius=0.5,
            gradient_clip=0.3,
            average="ema",
        )
        found.append(run_training(config).model.trainable_weights)
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(
            one.numpy(), two.numpy(), atol=1e-5, err_msg=one.path
        )


def test_a_mixed_step_is_finite(tiny_folder, tmp_path):
    config = short_run(
        tiny_folder,
        tmp_path / "run",
        epochs=1,
        method="aggregate",
        precision="mixed_float16",
        sharpness="sam",
    )
    model = run_training(config).model
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    for weight in model.trainable_weights:
        assert np.all(np.isfinite(weight.numpy()))


def test_methods_compute_where_weights_are_given():
    """Keras' own scope within `ValuesInPlace` would read the weights again."""
    folder = ROOT / "dmg_tf" / "methods"
    found = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if "StatelessScope" in path.read_text("utf-8")
    ]
    assert found == ["in_place.py"]
