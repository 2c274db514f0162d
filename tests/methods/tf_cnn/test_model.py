import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.backbones.blocks import NetworkSpec
from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.methods.tf_cnn import tucker
from dmg_tf.methods.tf_cnn.model import _last_pointwise
from dmg_tf.methods.tf_cnn.tucker import TuckerLayer, hosvd, under
from dmg_tf.registry import BACKBONES
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch
from tests.methods.source_features import CLASSES, DOMAINS, make

pytestmark = pytest.mark.usefixtures("with_stub")


def layers_of(model):
    return [x for x in model.named_layers() if isinstance(x, TuckerLayer)]


def moved(model, seed=0):
    """Gives every domain kernels of its own."""
    rng = np.random.default_rng(seed)
    for layer in layers_of(model):
        for weight in layer.weights:
            weight.assign_add(rng.normal(0, 0.3, weight.shape))
    return model


def test_starts_as_the_plain_network():
    inputs, _ = random_batch(6, 16, CLASSES)
    model, plain = make("tf_cnn"), make("aggregate")
    expected = plain.logits(inputs["image"])
    for rule in model.prediction_rules:
        found = model.logits(inputs["image"], rule, inputs["domain_ids"])
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert "fc (8 x 4 x 4, 100.0%)" in model.describe()[0]


def test_loaded_weights_are_decomposed_anew():
    source = build_model(
        "aggregate", "stub", CLASSES, DOMAINS, image_size=16, seed=5
    )
    state = {
        name: variable.numpy().transpose(np.argsort(axes))
        for name, (variable, axes) in source.torchvision_entries().items()
    }
    model = moved(make("tf_cnn", tf_cnn_stages=["body", "fc"], tf_cnn_rank=1.0))
    model.load_torchvision(state)
    inputs, _ = random_batch(6, 16, CLASSES)
    np.testing.assert_allclose(
        model.logits(inputs["image"]), source.logits(inputs["image"]), atol=1e-5
    )
    with pytest.raises(UserError, match="missing"):
        model.load_torchvision({"fc.weight": state["fc.weight"]})


def test_half_the_ranks_are_the_best_half():
    model = make("tf_cnn", tf_cnn_stages=["body", "fc"])
    conv, last = layers_of(model)
    assert conv.ranks == (4, 4, 4) and last.ranks == (8, 4, 4)
    kernel = make("aggregate").task_network.stages[0].get_layer("body.conv")
    kernel = kernel.kernel.numpy()
    found = conv.kernels()
    assert found.shape == (*kernel.shape, 4)
    assert np.all(found[..., :-1] == 0)
    core, factors = hosvd(kernel, [None, None, 4, 4])
    np.testing.assert_allclose(
        found[..., -1], tucker.compose(core, factors), atol=1e-6
    )


@pytest.mark.parametrize("stages", [None, ["body", "fc"]])
def test_rules_are_kernels_of_their_own(stages):
    """Against the plain network with the composed kernels."""
    model = moved(make("tf_cnn", tf_cnn_stages=stages))
    inputs, _ = random_batch(6, 16, CLASSES)
    images, ids = inputs["image"], inputs["domain_ids"]
    found = model.logits_by_rule(images, model.prediction_rules, ids)
    folded = model.plain_network()
    assert folded.rule.name == "pred_ens"
    np.testing.assert_allclose(
        folded.model.logits(images), found["pred_ens"], atol=1e-4
    )
    for index, domain in enumerate(DOMAINS):
        plain = folded.model
        for layer, own in model._paired(plain):
            if isinstance(own, TuckerLayer):
                kernels = own.kernels()
                layer.kernel.assign(kernels[..., index] + kernels[..., -1])
                bias = own.domain_biases.numpy()[index] + own.bias.numpy()
                layer.bias.assign(bias)
        expected = plain.logits(images)
        own = found[f"domain/{domain}"]
        np.testing.assert_allclose(own, expected, atol=1e-4)
        rows = ids == index
        np.testing.assert_allclose(
            found["known_domain"][rows], expected[rows], atol=1e-4
        )
    training = model({"image": images, "domain_ids": ids}, training=True)
    np.testing.assert_allclose(training, found["known_domain"], atol=1e-4)


def test_a_step_tells_the_domains_apart():
    """From a start where they are alike; a domain that is absent stays."""
    model = make("tf_cnn")
    model.compile(OPTIMIZERS["sgd"](0.1), run_eagerly=True)
    inputs, labels = random_batch(6, 16, CLASSES)
    inputs["domain_ids"] = np.array([0, 0, 0, 1, 1, 1], np.int32)
    model.train_step((inputs, labels))
    (layer,) = layers_of(model)
    own = np.moveaxis(layer.kernels()[..., :-1], -1, 0)
    assert np.abs(own[0] - own[1]).max() > 1e-4
    assert np.all(own[2] == 0) and np.all(np.isfinite(own))
    assert np.all(layer.domain_biases.numpy()[2] == 0)


def test_a_loaded_model_is_not_decomposed(tmp_path, monkeypatch):
    model = moved(make("tf_cnn"))
    inputs, _ = random_batch(6, 16, CLASSES)
    model.save(tmp_path / "model.keras")
    monkeypatch.setattr(tucker, "hosvd", None)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    ids = inputs["domain_ids"]
    for rule in model.prediction_rules:
        np.testing.assert_array_equal(
            loaded.logits(inputs["image"], rule, ids),
            model.logits(inputs["image"], rule, ids),
        )


def test_descriptors_are_a_thread_s_own_and_end():
    layer = TuckerLayer(keras.layers.Dense(3), 2, lambda *_: (3, 3, 3))
    layer.build((None, 4))
    layer.start(np.eye(4, 3), np.zeros(3))
    x = tf.ones((2, 4))
    with pytest.raises(RuntimeError), under(tf.zeros((2, 3))):
        assert np.all(np.asarray(layer(x)) == 0)
        raise RuntimeError
    np.testing.assert_allclose(layer(x), np.ones((2, 3)), atol=1e-6)


def test_the_last_pointwise_stages_are_factorised():
    network = BACKBONES["efficientnet_lite0"](NetworkSpec(3))
    assert _last_pointwise(network.stages) == ["conv_head", "fc"]


def test_mistakes():
    with pytest.raises(UserError, match="stage of stub 'bod'.*'body'"):
        make("tf_cnn", tf_cnn_stages=["bod"])
