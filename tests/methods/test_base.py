import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.registry import METHODS
from dmg_tf.training.optimizers import Adam
from tests.helpers import assert_step_moves_every_weight, random_batch

DOMAINS = ("a", "b", "c")


def make(method, **kwargs):
    # One method on a network with batch normalisation stands for all.
    backbone = "resnet18" if method == "dmg" else "stub"
    rate = 1e-3 if method == "dmg" else 1e-2
    model = build_model(method, backbone, 3, DOMAINS, image_size=32, **kwargs)
    model.compile(optimizer=Adam(rate))
    return model


@pytest.fixture(scope="module", params=METHODS.names())
def method(request, with_stub):
    return request.param


def test_a_step_moves_every_trained_weight(method):
    model = make(method)
    inputs, labels = random_batch()
    data = tf.data.Dataset.from_tensors((inputs, labels))
    assert_step_moves_every_weight(model, data)


def test_fit_learns_a_small_batch(method):
    model = make(method)
    inputs, labels = random_batch(batch=9)
    data = tf.data.Dataset.from_tensors((inputs, labels)).repeat(40)
    history = model.fit(data, epochs=2, verbose=0, shuffle=False).history
    # Drawn masks and a penalty that stays keep the loss of DMG above zero.
    assert history["loss"][1] < 0.7 * history["loss"][0]
    assert history["accuracy"][1] > 0.8


def test_saved_model_predicts_the_same(method, tmp_path):
    model = make(method)
    inputs, labels = random_batch()
    data = tf.data.Dataset.from_tensors((inputs, labels))
    model.fit(data, verbose=0, shuffle=False)
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
    loaded.fit(data, verbose=0, shuffle=False)


def test_rules_together_are_the_rules_alone(method):
    model = make(method)
    inputs, _ = random_batch()
    rules = tuple(
        dict.fromkeys((*model.prediction_rules, model.selection_rule))
    )
    together = model.logits_by_rule(
        inputs["image"], rules, inputs["domain_ids"]
    )
    for rule in rules:
        alone = model.logits(inputs["image"], rule, inputs["domain_ids"])
        np.testing.assert_allclose(together[rule], alone, rtol=1e-4, atol=1e-5)


def test_call_predicts_by_the_default_rule(method):
    model = make(method)
    inputs, _ = random_batch()
    assert model.prediction_rules[0] == model.rules()[0].name
    np.testing.assert_allclose(
        model(inputs), model.logits(inputs["image"]), rtol=1e-5, atol=1e-6
    )


def test_unknown_rule_is_refused(method):
    with pytest.raises(UserError, match="Did you mean 'pred_ens'"):
        make(method).logits(np.zeros((1, 32, 32, 3)), "pred_en")


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_weights_and_logits_in_float32(method, precision):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        model = make(method)
    finally:
        keras.config.set_dtype_policy(before)
    inputs, labels = random_batch()
    data = tf.data.Dataset.from_tensors((inputs, labels)).repeat(2)
    history = model.fit(data, verbose=0, shuffle=False).history
    assert np.isfinite(history["loss"][0])
    assert {w.dtype for w in model.weights} == {"float32"}
    assert model.logits(inputs["image"]).dtype == tf.float32


def test_the_step_is_traced_once(method):
    model = make(method)
    # As a run does: what makes variables would be traced once more.
    model.optimizer.build(model.trainable_variables)
    step, traces = model.train_step, []

    def counted(data):
        traces.append(data)
        return step(data)

    model.train_step = counted
    data = tf.data.Dataset.from_tensors(random_batch()).repeat()
    for epoch in range(3):
        model.fit(
            data,
            initial_epoch=epoch,
            epochs=epoch + 1,
            steps_per_epoch=2,
            shuffle=False,
            verbose=0,
        )
    assert len(traces) == 1
