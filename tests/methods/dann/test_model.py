import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.methods.build import build_model
from dmg_tf.training.optimizers import SGD
from tests.helpers import random_batch

pytestmark = pytest.mark.usefixtures("with_stub")


def make(**options):
    model = build_model(
        "dann", "stub", 3, ("a", "b", "c"), image_size=32, **options
    )
    model.total_steps = 10
    model.compile(SGD(0.1, momentum=0.0), run_eagerly=True)
    further = {name: SGD(0.1, momentum=0.0) for name in model.trained_apart()}
    model.use_optimizers(further)
    return model


@pytest.mark.parametrize("schedule", ["ramp", "constant"])
def test_strength_follows_the_steps_that_were_taken(schedule):
    model = make(dann_reversal=0.5, dann_schedule=schedule)
    found = []
    for steps in (0, 5, 10, 15):
        model.optimizer.iterations.assign(steps)
        found.append(float(model.reversal))
    expected = {
        # A run that goes on begins where its steps are.
        "ramp": [0, 0.5 * np.tanh(2.5), 0.5 * np.tanh(5), 0.5 * np.tanh(5)],
        "constant": [0.5] * 4,
    }
    assert found == pytest.approx(expected[schedule], abs=1e-6)


def test_both_updates_take_the_same_step_of_plain_descent():
    """One moves as the other where each variable has its own gradient."""
    data = random_batch(batch=6)
    models = [
        make(dann_update=update, dann_schedule="constant")
        for update in ("joint", "alternating")
    ]
    before = models[0].discriminator.get_weights()
    for model in models:
        model.train_step(data)
    joint, alternating = models
    for one, two in zip(joint.weights, alternating.weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6, err_msg=one.path)
    after = joint.discriminator.get_weights()
    assert (
        max(np.abs(a - b).max() for a, b in zip(after, before, strict=True))
        > 1e-4
    )


def test_at_strength_0_the_network_is_the_pooled_one():
    data = random_batch(batch=6)
    plain = build_model("aggregate", "stub", 3, ("a", "b", "c"), image_size=32)
    plain.compile(SGD(0.1, momentum=0.0), run_eagerly=True)
    model = make(dann_reversal=0.0)
    for each in (plain, model):
        each.train_step(data)
    for one, two in zip(
        plain.network_weights(), model.network_weights(), strict=True
    ):
        np.testing.assert_allclose(one, two, atol=1e-7)


def test_a_batch_of_one_domain_is_learned_from():
    model = make(dann_gradient_penalty=0.5)
    inputs, labels = random_batch(batch=4)
    inputs["domain_ids"] = np.full(4, 1, np.int32)
    logs = model.train_step((inputs, labels))
    assert all(np.isfinite(float(value)) for value in logs.values())
    assert float(logs["gradient_penalty"]) > 0


def test_the_discriminator_is_for_training_alone():
    model = make()
    own = {id(v) for v in model.discriminator.variables}
    served = [v for part in model.inference_layers() for v in part.variables]
    assert not own & {id(v) for v in served}
    entries = model.torchvision_entries().values()
    assert not own & {id(variable) for variable, _ in entries}
    assert tf.shape(model.logits(random_batch()[0]["image"])).numpy()[1] == 3
