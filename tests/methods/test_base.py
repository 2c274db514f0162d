import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.evaluation.scoring import dtype_policy
from dmg_tf.methods.build import build_model
from dmg_tf.registry import BACKBONES, METHODS
from dmg_tf.training.optimizers import Adam
from tests.helpers import random_batch
from tests.stubs import NORMED

DOMAINS = ("a", "b", "c")


def make(method, **kwargs):
    """A compiled model on a small network with batch normalisation."""
    model = build_model(method, "normed", 3, DOMAINS, image_size=32, **kwargs)
    model.total_steps = 120
    model.compile(optimizer=Adam(1e-2))
    # As a run does: what makes variables would be traced once more.
    model.optimizer.build(model.trained_by("main"))
    return model


@pytest.fixture(scope="module", autouse=True)
def known(forgotten):
    """Knows the backbone."""
    with BACKBONES.with_name("normed", NORMED):
        yield


@pytest.fixture(scope="module", params=METHODS.names())
def method(request, known):
    return request.param


# An adversary hides all that few features can say of nine images.
GENTLE = {"dann": {"dann_reversal": 0.1}}


def twice(batch):
    """Doubles a batch: what adapts in MAML is then what judges, too."""
    return tf.nest.map_structure(lambda x: np.concatenate([x, x]), batch)


@pytest.fixture(scope="module")
def trained(method):
    """A model that learned one batch in 120 steps, and how that went."""
    model = make(method, **GENTLE.get(method, {}))
    before = {w.path: w.numpy() for w in model.trainable_weights}
    step, traces = model.train_step, []

    def counted(data):
        traces.append(data)
        return step(data)

    model.train_step = counted
    data = tf.data.Dataset.from_tensors(twice(random_batch(batch=9))).repeat(60)
    history = model.fit(data, epochs=2, verbose=0, shuffle=False).history
    del model.train_step
    return types.SimpleNamespace(
        model=model, history=history, traces=traces, before=before
    )


def test_fit_learns_a_small_batch(trained):
    history = trained.history
    # Drawn masks keep the loss of DMG above zero. Penalties may stay as they
    # are, and an adversary's loss grow.
    assert np.all(np.isfinite(history["loss"]))
    losses = history.get("cross_entropy", history["loss"])
    assert losses[1] < 0.7 * losses[0]
    assert history["accuracy"][1] > 0.8


def test_every_trained_weight_is_moved(trained):
    still = [
        weight.path
        for weight in trained.model.trainable_weights
        if np.array_equal(weight.numpy(), trained.before[weight.path])
    ]
    assert not still


def test_the_step_is_traced_once(trained):
    assert len(trained.traces) == 1


def test_saved_model_predicts_the_same(trained, tmp_path):
    model = trained.model
    inputs, labels = random_batch()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    ids = inputs["domain_ids"]
    for rule in (*model.prediction_rules, model.selection_rule):
        np.testing.assert_array_equal(
            loaded.logits(inputs["image"], rule, ids),
            model.logits(inputs["image"], rule, ids),
        )
    # and it goes on training
    loaded.total_steps, loaded.run_eagerly = model.total_steps, True
    data = tf.data.Dataset.from_tensors((inputs, labels))
    loaded.fit(data, verbose=0, shuffle=False)


def test_rules_together_are_the_rules_alone(trained):
    model = trained.model
    inputs, _ = random_batch()
    rules = tuple(
        dict.fromkeys((*model.prediction_rules, model.selection_rule))
    )
    together = model.logits_by_rule(
        inputs["image"], rules, inputs["domain_ids"]
    )
    for rule in rules:
        alone = model.logits(inputs["image"], rule, inputs["domain_ids"])
        assert alone.shape == (6, 3) and alone.dtype == tf.float32
        assert np.all(np.isfinite(alone))
        np.testing.assert_allclose(together[rule], alone, rtol=1e-4, atol=1e-5)


def test_call_predicts_by_the_default_rule(trained):
    model = trained.model
    inputs, _ = random_batch()
    assert model.prediction_rules[0] == model.rules()[0].name
    np.testing.assert_allclose(
        model(inputs), model.logits(inputs["image"]), rtol=1e-5, atol=1e-6
    )


def test_unknown_rule_is_refused(trained):
    with pytest.raises(UserError, match="Did you mean 'pred_ens'"):
        trained.model.logits(np.zeros((1, 32, 32, 3)), "pred_en")


def test_mixed_precision_keeps_weights_and_logits_in_float32(method):
    # Half precision has a loss scale besides; see test_hooks.
    with dtype_policy("mixed_bfloat16"):
        model = make(method)
    model.total_steps, model.run_eagerly = 2, True
    inputs, labels = random_batch()
    data = tf.data.Dataset.from_tensors((inputs, labels)).repeat(2)
    history = model.fit(data, verbose=0, shuffle=False).history
    assert np.isfinite(history["loss"][0])
    assert {w.dtype for w in model.weights} == {"float32"}
    assert model.logits(inputs["image"]).dtype == tf.float32
