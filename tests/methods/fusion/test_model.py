import numpy as np
import pytest

from dmg_tf.methods.build import build_model
from tests.helpers import random_batch

pytestmark = pytest.mark.usefixtures("with_stub")
DOMAINS = ("a", "b", "c")


@pytest.fixture
def model():
    model = build_model(
        "fusion", "stub", 4, DOMAINS, image_size=32, fusion_equal_share=0.4
    )
    kernel = model.gate.kernel
    kernel.assign(np.random.default_rng(0).normal(0, 9, kernel.shape))
    return model


def test_rules_mix_the_heads(model):
    inputs, _ = random_batch(classes=4)
    image, ids = inputs["image"], inputs["domain_ids"][::-1]
    hidden = model.embed(image).numpy()
    heads = model.task_network.stages[-1].layers
    each = np.stack([head(hidden) for head in heads], axis=1)  # [B, D, C]
    scores = np.exp(hidden @ model.gate.kernel.numpy() + model.gate.bias)
    shares = {
        "pred_ens": scores / scores.sum(axis=1, keepdims=True),
        "known_domain": np.eye(3)[ids],
        "equal_weights": np.full((6, 3), 1 / 3),
    }
    for rule, share in shares.items():
        weights = 0.6 * share + 0.4 / 3
        expected = np.einsum("bd,bdc->bc", weights, each)
        found = model.logits(image, rule, ids)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    for index, domain in enumerate(DOMAINS):
        found = model.logits(image, f"head/{domain}")
        np.testing.assert_allclose(found, each[:, index], atol=1e-5)


def test_training_mixes_by_the_known_domain_or_as_predicted(model):
    inputs, _ = random_batch(classes=4)
    image, ids = inputs["image"], inputs["domain_ids"]
    known = model.logits(image, "known_domain", ids)
    np.testing.assert_allclose(model(inputs, training=True), known, atol=1e-5)
    other = build_model(
        "fusion", "stub", 4, DOMAINS, image_size=32, fusion_weights="predicted"
    )
    predicted = other.logits(image)
    np.testing.assert_allclose(
        other(inputs, training=True), predicted, atol=1e-5
    )


def test_the_gate_is_exported_and_no_entry_of_a_file(model):
    assert model.inference_layers()[-1] is model.gate
    entries = {id(v) for v, _ in model.torchvision_entries().values()}
    assert not entries & {id(v) for v in model.gate.variables}
