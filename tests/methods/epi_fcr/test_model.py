import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch
from tests.methods.steps import assert_two_replicas_are_one

pytestmark = pytest.mark.usefixtures("with_stub")


def make(domains=("a", "b", "c"), **options):
    model = build_model("epi_fcr", "stub", 3, domains, image_size=16, **options)
    model.compile(OPTIMIZERS["sgd"](1e-2))
    model.total_steps = 60
    return model


def gradients_of(model, name):
    """Returns {variable's path: gradient} of one term; None where none."""
    inputs, labels = random_batch(batch=6, size=16)
    with tf.GradientTape() as tape:
        weight, value = model.objective(inputs, labels).terms[name]
        value = weight * value
    found = tape.gradient(value, model.trainable_variables)
    paths = [variable.path for variable in model.trainable_variables]
    return dict(zip(paths, found, strict=True))


@pytest.mark.parametrize("term", ["feature", "classifier", "random", "domains"])
def test_a_term_trains_its_own_part(term):
    model = make(epi_fcr_warm_up=0.0)
    moved = {
        path
        for path, gradient in gradients_of(model, term).items()
        if gradient is not None and np.any(gradient)
    }
    own = {v.path for v in model.feature_extractor.trainable_variables}
    last = {v.path for v in model.task_network.trainable_variables}
    beside = {
        v.path for n in model.domain_networks for v in n.trainable_variables
    }
    expected = {
        "feature": own,
        "random": own,
        "classifier": last,
        "domains": beside,
    }
    assert moved == expected[term]


def test_terms_count_when_the_warm_up_is_over():
    model = make()  # of 60 steps, 0.167
    inputs, labels = random_batch(batch=6, size=16)
    weights = []
    for step in (0, 10, 11, 59):
        model.optimizer.iterations.assign(step)
        terms = model.objective(inputs, labels).terms
        weights.append(
            [float(terms[n][0]) for n in ("feature", "classifier", "random")]
        )
    on = [2.0, pytest.approx(0.05), pytest.approx(0.1)]
    assert weights == [[0, 0, 0], [0, 0, 0], on, on]


def test_pairs_are_two_sources_and_all_come_up():
    model = make()
    pairs = set()
    for step in range(60):
        model.optimizer.iterations.assign(step)
        pairs.add(tuple(model.draw_order().numpy()[:2].tolist()))
    assert pairs == {(a, b) for a in range(3) for b in range(3) if a != b}


def test_a_domain_without_images_adds_nothing():
    inputs, labels = random_batch(batch=6, size=16)
    inputs["domain_ids"] = np.int32([0, 0, 1, 1, 0, 1])
    model = make(epi_fcr_warm_up=0.0)
    model.draw_order = lambda: tf.constant([2, 0, 1])
    terms = model.objective(inputs, labels).terms
    assert float(terms["feature"][1]) == float(terms["classifier"][1]) == 0
    model.train_step((inputs, labels))
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_random_classifier_is_kept_and_not_trained(tmp_path):
    model, other = make(classifier_init="normal"), make(seed=1)
    kernel = model.random_classifier.kernel.numpy()
    # PyTorch's uniform whatever the last layer starts with: ±1/sqrt(8).
    assert 0.1 < np.abs(kernel).max() <= 8**-0.5
    assert np.abs(kernel - other.random_classifier.kernel).max() > 0.1
    trained = {v.path for v in model.trainable_variables}
    assert model.random_classifier.kernel.path not in trained
    model.save_weights(tmp_path / "m.weights.h5")
    other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(other.random_classifier.kernel, kernel)


def test_all_networks_start_from_the_file():
    model = make()
    plain = build_model("aggregate", "stub", 3, ("a",), image_size=16, seed=7)
    entries = plain.torchvision_entries()
    assert model.torchvision_entries().keys() == entries.keys()
    state = {
        name: variable.numpy().transpose(np.argsort(axes))
        for name, (variable, axes) in entries.items()
    }
    model.load_torchvision(state)
    for network in model.domain_networks:
        for name, (variable, _) in network.torchvision_entries().items():
            np.testing.assert_array_equal(variable, entries[name][0])


def test_one_source_has_no_partner():
    with pytest.raises(UserError, match="at least 2, got 1"):
        make(("a",))


def test_two_replicas_take_the_step_of_one():
    assert_two_replicas_are_one(lambda: make(epi_fcr_warm_up=0.0))
