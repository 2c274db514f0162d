"""What every layer and model must do, and a server for tests of downloads."""

import contextlib
import http.server
import pathlib
import tempfile
import threading

import keras
import numpy as np
import tensorflow as tf

from dmg_tf.methods.base import DomainModel
from dmg_tf.registry import METHODS

# What a method that only learns otherwise leaves as Aggregate has it.
PREDICTING = (
    *("begins_at", "call", "entry", "inference_layers", "logits_by_rule"),
    *("make_feature_extractor", "make_task_network", "rules", "stages_of"),
)


def methods_that_predict_otherwise(names=PREDICTING):
    """Returns Aggregate and those that have one of the names of their own."""

    def own(method):
        model = METHODS[method].load()
        return any(
            getattr(model, name) is not getattr(DomainModel, name)
            for name in names
        )

    others = [name for name in METHODS.names() if name != "aggregate"]
    return ["aggregate", *filter(own, others)]


def assert_layer_contract(
    make_layer,
    inputs,
    call_kwargs=None,
    trainable=0,
    non_trainable=0,
    float32_weights=True,
):
    """Checks what Keras expects of a layer.

    Args:
        make_layer: Returns a new layer.
        inputs: float32 array that it takes.
        call_kwargs: Further call arguments.
        trainable: Number of trainable weights.
        non_trainable: Number of other weights, seed states left out.
        float32_weights: Whether weights stay float32 in mixed precision.
    """
    call_kwargs = call_kwargs or {}
    layer = make_layer()
    outputs = np.asarray(layer(inputs, **call_kwargs))
    assert len(layer.trainable_weights) == trainable
    assert len(layer.non_trainable_weights) == non_trainable
    assert outputs.shape == tuple(layer.compute_output_shape(inputs.shape))

    # config round trip
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config

    # eager = graph
    graph = tf.function(lambda x: layer(x, **call_kwargs))
    np.testing.assert_allclose(graph(inputs), outputs, rtol=1e-5, atol=1e-6)

    # a model that holds it reloads with equal outputs
    symbolic = keras.Input(inputs.shape[1:])
    fixed = {k: tf.constant(v) for k, v in call_kwargs.items()}
    if not fixed:
        model = keras.Model(symbolic, layer(symbolic))
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.keras"
            model.save(path)
            loaded = keras.models.load_model(path)
        np.testing.assert_allclose(loaded(inputs), outputs, rtol=1e-5)

    # mixed precision computes in 16 bits and keeps weights in 32
    mixed = type(layer).from_config({**config, "dtype": "mixed_bfloat16"})
    assert mixed(inputs, **call_kwargs).dtype == "bfloat16"
    if float32_weights:
        assert {w.dtype for w in mixed.weights} <= {"float32", "uint32"}

    # one step moves every trainable weight
    if trainable:
        with tf.GradientTape() as tape:
            result = layer(inputs, **call_kwargs)
            loss = tf.reduce_mean(tf.square(result - 0.3))
        gradients = tape.gradient(loss, layer.trainable_weights)
        for weight, gradient in zip(
            layer.trainable_weights, gradients, strict=True
        ):
            assert gradient is not None, weight.path
            assert np.abs(np.asarray(gradient)).max() > 0, weight.path


def random_batch(batch=6, size=32, classes=3, domains=3, seed=0):
    """Returns ({"image", "domain_ids"}, labels) as NumPy arrays."""
    rng = np.random.default_rng(seed)
    inputs = {
        "image": rng.normal(size=(batch, size, size, 3)).astype(np.float32),
        "domain_ids": (np.arange(batch) % domains).astype(np.int32),
    }
    return inputs, rng.integers(0, classes, batch).astype(np.int32)


def assert_step_moves_every_weight(model, data):
    """Checks that one step of `fit` changes each trainable weight.

    Args:
        model: A compiled model.
        data: Dataset of a single batch.
    """
    before = [w.numpy() for w in model.trainable_weights]
    model.fit(data, verbose=0, shuffle=False)
    still = [
        weight.path
        for weight, old in zip(model.trainable_weights, before, strict=True)
        if np.array_equal(weight.numpy(), old)
    ]
    assert not still


@contextlib.contextmanager
def serving(handler):
    """A server of this machine, at `url`, for as long as the block takes."""
    address = ("127.0.0.1", 0)
    with http.server.ThreadingHTTPServer(address, handler) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
