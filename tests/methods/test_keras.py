"""A `DomainModel` is a Keras model: what `compile` and `fit` get counts."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.methods.mixstyle.mix import StyleMixer
from dmg_tf.registry import METHODS
from tests.helpers import random_batch

pytestmark = pytest.mark.usefixtures("with_stub")


def make(method="dmg", seed=0, **kwargs):
    model = build_model(
        method, "stub", 3, ("a", "b", "c"), image_size=32, seed=seed, **kwargs
    )
    model.total_steps = 100
    return model


def batches(*parts):
    return tf.data.Dataset.from_tensors(parts)


def fitted(model, *parts, **kwargs):
    # A step or two: tracing them would take ten times as long.
    model.run_eagerly = True
    history = model.fit(batches(*parts), verbose=0, shuffle=False, **kwargs)
    return {name: values[0] for name, values in history.history.items()}


@pytest.fixture(params=METHODS.names())
def method(request):
    return request.param


def test_a_compiled_loss_is_minimised(method):
    inputs, labels = random_batch()
    plain, other = make(method), make(method)
    plain.compile("sgd")
    other.compile("sgd", loss=lambda y, z: 0.0 * tf.reduce_sum(z, -1) + 12345.0)
    assert fitted(plain, inputs, labels)["loss"] < 10
    logs = fitted(other, inputs, labels)
    # Some methods minimise it several times, or something else beside it.
    found = logs.get("cross_entropy", logs["loss"])
    assert found == pytest.approx(12345, abs=1)
    kernel = other.task_network.stages[-1].weights[0]
    start = make(method).task_network.stages[-1].weights[0]
    # A constant loss has no gradient.
    np.testing.assert_allclose(kernel, start, atol=1e-6)
    own = make(method)
    own.compile(
        "sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    again = make(method)
    again.compile("sgd")
    fitted(own, inputs, labels), fitted(again, inputs, labels)
    for one, two in zip(own.weights, again.weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_compiled_metrics_are_reported(method):
    inputs, labels = random_batch()
    model = make(method)
    metric = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")
    model.compile("sgd", metrics=[metric])
    logs = fitted(
        model, inputs, labels, validation_data=batches(inputs, labels)
    )
    assert 0 <= logs["top2"] <= 1 and "val_top2" in logs
    scores = model.evaluate(
        batches(inputs, labels), verbose=0, return_dict=True
    )
    expected = np.mean(
        [
            label in row
            for label, row in zip(
                labels,
                np.argsort(-model.predict(inputs, verbose=0))[:, :2],
                strict=True,
            )
        ]
    )
    assert scores["top2"] == pytest.approx(expected)


# What a batch's images have to do with each other, where that can be off.
ALONE = {"rsc": {"rsc_batch_share": 1.0}}


def test_sample_weights_count(method):
    """Images that weigh nothing change nothing."""
    inputs, labels = random_batch(batch=12)
    weights = np.repeat(np.float32([2, 0]), 6)
    # Of the same domains and of the loss's size: a half weighs double.
    half = {name: value[:6] for name, value in inputs.items()}
    models = []
    for data in ((inputs, labels, weights), (half, labels[:6])):
        model = make(method, **ALONE.get(method, {}))
        model.compile("sgd")
        with_draws(model)
        fitted(model, *data)
        models.append(model)
    first, second = (m.task_network.stages[-1].weights[0] for m in models)
    np.testing.assert_allclose(first, second, atol=1e-6)


def with_draws(model):
    """Lets what is drawn change nothing, where something is."""
    for mask in getattr(model, "domain_masks", {}).values():
        mask.draw = tf.ones_like
    for layer in model.feature_extractor.layers:
        if isinstance(layer, StyleMixer):
            layer.probability = 0.0
    if hasattr(model, "partners"):
        model.partners = tf.range


def test_class_weights_are_sample_weights(method):
    inputs, labels = random_batch()
    by_class = {0: 0.5, 1: 2.0, 2: 3.0}
    models = []
    for weights, options in (
        (np.float32([by_class[label] for label in labels]), {}),
        (None, {"class_weight": by_class}),
    ):
        model = make(method)
        model.compile("sgd")
        data = (inputs, labels) + (() if weights is None else (weights,))
        fitted(model, *data, **options)
        models.append(model)
    for one, two in zip(*(m.weights for m in models), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_soft_labels_are_learned_from(method):
    inputs, labels = random_batch()
    hard = np.eye(3, dtype=np.float32)[labels]
    models = [make(method), make(method)]
    logs = []
    for model, targets in zip(models, (labels, hard), strict=True):
        model.compile("sgd")
        logs.append(fitted(model, inputs, targets))
    assert logs[0] == pytest.approx(logs[1], abs=1e-5)
    for one, two in zip(*(m.weights for m in models), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
    model = make(method)
    model.compile("sgd")
    smooth = np.float32(0.9) * hard + np.float32(0.1 / 3)
    assert fitted(model, inputs, smooth)["loss"] > 0


def test_images_alone_where_no_domain_is_needed(method):
    inputs, labels = random_batch()
    model = make(method)
    np.testing.assert_array_equal(model(inputs["image"]), model(inputs))
    assert model.predict(inputs["image"], verbose=0).shape == (6, 3)
    model.compile("sgd")
    assert model.evaluate(inputs["image"], labels, verbose=0)


def test_aggregate_learns_from_images_alone():
    inputs, labels = random_batch()
    model = make("aggregate")
    model.compile("sgd")
    model.fit(inputs["image"], labels, verbose=0)


@pytest.mark.parametrize(
    "method",
    ["dmg", "multi_headed", "metareg", "dann", "crossgrad", "dsn", "fusion"],
)
def test_missing_domains_are_told_in_one_line(method):
    inputs, labels = random_batch()
    model = make(method)
    model.compile("sgd")
    with pytest.raises(UserError) as caught:
        model.fit(inputs["image"], labels, verbose=0)
    assert "\n" not in str(caught.value)
    assert '"domain_ids": int [B]' in str(caught.value)


def test_exported_by_keras(method, tmp_path):
    inputs, _ = random_batch()
    model = make(method)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    np.testing.assert_allclose(
        served.serve(inputs["image"]), model(inputs["image"]), atol=1e-5
    )


def test_class_names_travel_along(tmp_path):
    model = make(class_names=("x", "y", "z"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.class_names == ("x", "y", "z")
    assert make().class_names is None


def test_options_are_checked():
    with pytest.raises(UserError, match="is an option of metareg, not of dmg"):
        make(meta_steps=3)
    with pytest.raises(UserError, match="Did you mean 'siou_weight'"):
        make(siou_weigth=3)
    with pytest.raises(UserError, match="--siou-weight must be at least 0"):
        make(siou_weight=-1.0)
    with pytest.raises(UserError, match="known: mean, sum"):
        make(siou_reduction="median")


def test_embedding_is_what_the_last_layer_takes(method):
    inputs, _ = random_batch()
    model = make(method)
    features = model.embed(inputs["image"])
    assert features.shape == (6, 8) and features.dtype == tf.float32
    logits, rule = model.task_network.stages[-1](features), None
    if len(logits.shape) == 3:
        logits = tf.reduce_mean(logits, axis=1)
        rule = next(r.name for r in model.rules() if r.mean_of_domains)
    expected = model.logits(inputs["image"], rule)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize("part", ["network", "task_network"])
def test_logits_on_given_values(method, part):
    inputs, labels = random_batch()
    model = make(method)
    with_draws(model)
    variables = model.network_weights(part)
    x = inputs if part == "network" else model.forward(inputs).entry
    if part == "task_network" and method != "aggregate":
        pytest.skip("their task networks need the domains too")
    values = [tf.convert_to_tensor(v) for v in variables]
    with tf.GradientTape() as outer:
        outer.watch(values)
        with tf.GradientTape() as inner:
            inner.watch(values)
            logits = model.logits_with(values, x, part)
            loss = model.cross_entropy(labels, logits)
        gradients = inner.gradient(loss, values)
        stepped = [v - 0.5 * g for v, g in zip(values, gradients, strict=True)]
        moved = model.logits_with(stepped, x, part)
        outside = model.cross_entropy(labels, moved)
    np.testing.assert_allclose(
        logits, model.forward(inputs, training=True).logits, atol=1e-5
    )
    assert float(outside) < float(loss)
    second = outer.gradient(outside, values)
    assert all(np.all(np.isfinite(g)) for g in second)
    for variable, value in zip(variables, values, strict=True):
        np.testing.assert_array_equal(variable, value)  # nothing was assigned
