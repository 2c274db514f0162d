import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.methods.domain_heads import DomainHeads
from tests.helpers import assert_layer_contract, random_batch

DOMAINS = ("a", "b", "c")


def make(classes=4, **kwargs):
    return build_model(
        "multi_headed", "resnet18", classes, DOMAINS, image_size=32, **kwargs
    )


@pytest.fixture(scope="module")
def model():
    return make()


# === The layer ===


def test_layer_contract():
    assert_layer_contract(
        lambda: DomainHeads(3, 5, seed=2, name="heads"),
        np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32),
        trainable=6,
    )


def test_each_head_is_a_linear_layer():
    layer = DomainHeads(3, 5, name="fc")
    inputs = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    found = layer(inputs).numpy()
    for index, head in enumerate(layer.layers):
        assert head.name == f"fc.{index}"
        expected = inputs @ head.kernel.numpy() + head.bias.numpy()
        np.testing.assert_allclose(found[:, index], expected, atol=1e-6)


def test_heads_start_apart_and_by_their_seed():
    def kernels(**kwargs):
        layer = DomainHeads(3, 5, name="fc", **kwargs)
        layer.build((None, 400))
        return [head.kernel.numpy() for head in layer.layers]

    first, again, other = kernels(), kernels(), kernels(seed=1)
    np.testing.assert_array_equal(first, again)
    for a, b in ((first[0], first[1]), (first[1], first[2]), (first, other)):
        assert np.abs(np.subtract(a, b)).max() > 0.01
    # PyTorch's uniform: within 1 / sqrt(inputs), and reaching for it.
    assert 0.049 < np.abs(first).max() <= 0.05
    # N(0, 0.001), within five standard errors for 6000 numbers.
    normal = kernels(classifier_init="normal")
    np.testing.assert_allclose(np.std(normal), 1e-3, rtol=0.05)


def test_layer_takes_vectors():
    with pytest.raises(ValueError, match=r"\[B, F\], got shape \(2, 3, 4\)"):
        DomainHeads(3, 5)(np.zeros((2, 3, 4)))


# === Predictions ===


def test_rules_are_what_the_paper_says(model):
    inputs, _ = random_batch(classes=4)
    image, ids = inputs["image"], inputs["domain_ids"][::-1]
    x = model.feature_extractor(image)
    for stage in model.task_network.stages[:-1]:
        x = stage(x)
    heads = model.task_network.stages[-1].layers
    each = np.stack([head(x) for head in heads])  # [D, B, C]
    expected = {
        "pred_ens": each.mean(axis=0),
        "known_domain": each[ids, np.arange(len(ids))],
        **{f"head/{name}": each[d] for d, name in enumerate(DOMAINS)},
    }
    assert model.prediction_rules == tuple(expected)
    assert model.selection_rule == "known_domain"
    for rule, value in expected.items():
        found = model.logits(image, rule, ids)
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        model({"image": image}), expected["pred_ens"], rtol=1e-4, atol=1e-5
    )


def test_rules_need_domains_only_where_they_are_known(model):
    images = np.zeros((1, 32, 32, 3))
    with pytest.raises(UserError, match="needs `domain_ids`"):
        model.logits(images, "known_domain")
    with pytest.raises(UserError, match="head/a"):
        model.logits(images, "mask/a")
    rules = [rule.name for rule in model.rules() if not rule.needs_domain]
    assert rules == ["pred_ens", "head/a", "head/b", "head/c"]


def test_tables_name_the_heads(model):
    (rule,) = model.rules_named(["head/a"])
    assert rule.title == "head of a"


# === Training ===


def test_an_image_trains_its_own_head(model):
    inputs, labels = random_batch(classes=4)
    inputs["domain_ids"] = np.full(len(labels), 1, np.int32)
    heads = model.task_network.stages[-1].layers
    with tf.GradientTape() as tape:
        logits = model(inputs, training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        )
    gradients = tape.gradient(loss, [head.kernel.value for head in heads])
    largest = [float(np.abs(tf.convert_to_tensor(g)).max()) for g in gradients]
    assert largest[0] == largest[2] == 0
    assert largest[1] > 0


def test_training_logits_are_those_of_own_heads(model):
    inputs, _ = random_batch(classes=4)
    every = [
        model({**inputs, "domain_ids": np.full(6, d)}, training=True)
        for d in range(3)
    ]
    own = np.stack(every)[inputs["domain_ids"], np.arange(6)]
    np.testing.assert_allclose(model(inputs, training=True), own, atol=1e-5)


# === Weights ===


def plain_state(classes):
    """Returns the weights of a network with one classifier."""
    plain = build_model(
        "aggregate", "resnet18", classes, DOMAINS, image_size=32, seed=5
    )
    state = {}
    for name, (variable, axes) in plain.torchvision_entries().items():
        state[name] = variable.numpy().transpose(np.argsort(axes))
    return state


def test_one_classifier_goes_into_every_head():
    model, state = make(), plain_state(4)
    model.load_torchvision(state)
    for head in model.task_network.stages[-1].layers:
        np.testing.assert_array_equal(head.kernel.numpy(), state["fc.weight"].T)
        np.testing.assert_array_equal(head.bias.numpy(), state["fc.bias"])


def test_heads_stay_fresh_for_other_classes():
    model, state = make(), plain_state(9)
    before = [w.numpy() for w in model.task_network.stages[-1].weights]
    model.load_torchvision(state)
    after = [w.numpy() for w in model.task_network.stages[-1].weights]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    conv1 = model.torchvision_entries()["conv1.weight"][0]
    np.testing.assert_array_equal(
        conv1.numpy(), state["conv1.weight"].transpose(2, 3, 1, 0)
    )


def test_heads_load_by_number():
    model, state = make(), plain_state(4)
    weight, bias = state.pop("fc.weight"), state.pop("fc.bias")
    for index in range(3):
        state[f"fc.{index}.weight"] = weight + index
        state[f"fc.{index}.bias"] = bias - index
    model.load_torchvision(state)
    for index, head in enumerate(model.task_network.stages[-1].layers):
        np.testing.assert_array_equal(head.kernel.numpy(), weight.T + index)
        np.testing.assert_array_equal(head.bias.numpy(), bias - index)
    assert "fc.weight" not in state  # what was handed over is not changed
    del state["fc.2.bias"]
    with pytest.raises(UserError, match="missing: fc.2.bias"):
        model.load_torchvision(state)


@pytest.mark.parametrize("backbone", ["alexnet", "efficientnet_lite0"])
def test_other_backbones_have_heads(backbone):
    model = build_model("multi_headed", backbone, 4, DOMAINS, image_size=32)
    last = model.task_network.stages[-1]
    prefix = {"alexnet": "classifier.6", "efficientnet_lite0": "_fc"}[backbone]
    assert model.classifier_entries[:2] == (
        f"{prefix}.0.weight",
        f"{prefix}.0.bias",
    )
    assert len(last.layers) == 3
