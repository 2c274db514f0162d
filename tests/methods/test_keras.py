"""A `DomainModel` is a Keras model: what `compile` and `fit` get counts."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.methods.mixstyle.mix import StyleMixer
from dmg_tf.registry import METHODS
from tests.helpers import methods_that_predict_otherwise, random_batch

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


@pytest.fixture(scope="module", params=METHODS.names())
def method(request):
    return request.param


@pytest.fixture(scope="module")
def again(method, with_stub):
    """Returns the method's one model as it was made, compiled anew."""
    model = make(method)
    return as_it_is(model)


def as_it_is(model):
    """Returns a function that puts a model back, compiles and returns it."""
    start = [(v, v.numpy()) for v in model.variables]

    def compiled(*args, **kwargs):
        for variable, value in start:
            variable.assign(value)
        # Keras would keep those before.
        model.loss = model._compile_loss = model._compile_metrics = None
        model.compile(*args, **kwargs)
        return model

    return compiled


@pytest.fixture(scope="module")
def plain(again):
    """What a step on `random_batch` makes of the model, and is told of it."""
    inputs, labels = random_batch()
    metric = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")
    model = again("sgd", metrics=[metric])
    start = model.task_network.stages[-1].weights[0].numpy()
    data = batches(inputs, labels)
    logs = fitted(model, inputs, labels, validation_data=data)
    return types.SimpleNamespace(
        start=start,
        logs=logs,
        weights=model.get_weights(),
        scores=model.evaluate(data, verbose=0, return_dict=True),
        predicted=model.predict(inputs, verbose=0),
    )


def test_a_compiled_loss_is_minimised(again, plain):
    inputs, labels = random_batch()
    other = again("sgd", loss=lambda y, z: 0.0 * tf.reduce_sum(z, -1) + 12345.0)
    assert plain.logs["loss"] < 10
    logs = fitted(other, inputs, labels)
    # Some methods minimise it several times, or something else beside it.
    found = logs.get("cross_entropy", logs["loss"])
    assert found == pytest.approx(12345, abs=1)
    kernel = other.task_network.stages[-1].weights[0]
    # A constant loss has no gradient.
    np.testing.assert_allclose(kernel, plain.start, atol=1e-6)
    own = again(
        "sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    fitted(own, inputs, labels)
    for one, two in zip(own.get_weights(), plain.weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_compiled_metrics_are_reported(plain):
    _, labels = random_batch()
    assert 0 <= plain.logs["top2"] <= 1 and "val_top2" in plain.logs
    best = np.argsort(-plain.predicted)[:, :2]
    expected = np.mean(
        [label in row for label, row in zip(labels, best, strict=True)]
    )
    assert plain.scores["top2"] == pytest.approx(expected)


# What a batch's images have to do with each other, where that can be off.
ALONE = {"rsc": {"rsc_batch_share": 1.0}}


def test_sample_weights_count(method):
    """Images that weigh nothing change nothing."""
    inputs, labels = random_batch(batch=12)
    weights = np.repeat(np.float32([2, 0]), 6)
    # Of the same domains and of the loss's size: a half weighs double.
    half = {name: value[:6] for name, value in inputs.items()}
    model = make(method, **ALONE.get(method, {}))
    with_draws(model)
    again = as_it_is(model)
    found = []
    for data in ((inputs, labels, weights), (half, labels[:6])):
        fitted(again("sgd"), *data)
        found.append(model.task_network.stages[-1].weights[0].numpy())
    np.testing.assert_allclose(*found, atol=1e-6)


def with_draws(model):
    """Lets what is drawn change nothing, where something is."""
    for mask in getattr(model, "domain_masks", {}).values():
        mask.draw = tf.ones_like
    for layer in model.feature_extractor.layers:
        if isinstance(layer, StyleMixer):
            layer.probability = 0.0
    if hasattr(model, "partners"):
        model.partners = tf.range


# Keras makes sample weights of them before any method sees a batch.
@pytest.mark.parametrize(
    "method", ["aggregate", "dmg", "metareg"], indirect=True
)
def test_class_weights_are_sample_weights(again):
    inputs, labels = random_batch()
    by_class = {0: 0.5, 1: 2.0, 2: 3.0}
    found = []
    for weights, options in (
        (np.float32([by_class[label] for label in labels]), {}),
        (None, {"class_weight": by_class}),
    ):
        model = again("sgd")
        data = (inputs, labels) + (() if weights is None else (weights,))
        fitted(model, *data, **options)
        found.append(model.get_weights())
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_soft_labels_are_learned_from(again, plain):
    inputs, labels = random_batch()
    hard = np.eye(3, dtype=np.float32)[labels]
    model = again("sgd")
    logs = fitted(model, inputs, hard)
    assert {"loss", "accuracy"} <= set(logs)
    expected = {name: plain.logs[name] for name in logs}
    assert logs == pytest.approx(expected, abs=1e-5)
    for one, two in zip(model.get_weights(), plain.weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
    smooth = np.float32(0.9) * hard + np.float32(0.1 / 3)
    assert fitted(again("sgd"), inputs, smooth)["loss"] > 0


def test_images_alone_where_no_domain_is_needed(again):
    inputs, labels = random_batch()
    model = again("sgd")
    np.testing.assert_array_equal(model(inputs["image"]), model(inputs))
    assert model.predict(inputs["image"], verbose=0).shape == (6, 3)
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


# Keras traces the call alone, which the other methods have of Aggregate.
@pytest.mark.parametrize(
    "method", methods_that_predict_otherwise(), indirect=True
)
def test_exported_by_keras(again, tmp_path):
    inputs, _ = random_batch()
    model = again("sgd")
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


def test_embedding_is_what_the_last_layer_takes(again):
    inputs, _ = random_batch()
    model = again("sgd")
    features = model.embed(inputs["image"])
    assert features.shape == (6, 8) and features.dtype == tf.float32
    logits, rule = model.task_network.stages[-1](features), None
    if len(logits.shape) == 3:
        logits = tf.reduce_mean(logits, axis=1)
        rule = next(r.name for r in model.rules() if r.mean_of_domains)
    expected = model.logits(inputs["image"], rule)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


# Other methods' task networks need the domains too.
@pytest.mark.parametrize(
    "method,part",
    [
        *((method, "network") for method in METHODS.names()),
        ("aggregate", "task_network"),
    ],
    indirect=["method"],
)
def test_logits_on_given_values(method, part):
    inputs, labels = random_batch()
    model = make(method)
    with_draws(model)
    variables = model.network_weights(part)
    x = inputs if part == "network" else model.forward(inputs).entry
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
