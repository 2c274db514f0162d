import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.export.network import stored_network
from dmg_tf.methods.build import build_model
from dmg_tf.methods.dmg.overlap import domain_pairs, soft_iou
from dmg_tf.training.optimizers import Adam
from tests.helpers import random_batch

DOMAINS = ("a", "b", "c")


@pytest.fixture(scope="module")
def model():
    model = build_model("dmg", "resnet18", 4, DOMAINS, image_size=32)
    rng = np.random.default_rng(0)
    for mask in model.domain_masks.values():
        mask.mask_logits.assign(rng.uniform(-2, 2, mask.mask_logits.shape))
    return model


def under(model, image, choose):
    """Logits when each site is scaled by choose(soft masks [D, F])."""
    x = model.feature_extractor(image)
    for stage in model.task_network.stages:
        scale = choose(model.domain_masks[stage.name].mask_probs)
        shape = [-1] + [1] * (len(x.shape) - 2) + [x.shape[-1]]
        x = stage(x * tf.reshape(scale, shape))
    return x.numpy()


def test_rules_are_what_the_paper_says(model):
    inputs, _ = random_batch(classes=4)
    image, ids = inputs["image"], inputs["domain_ids"]
    each = [under(model, image, lambda m, d=d: m[d]) for d in range(3)]
    own = np.stack(each, axis=1)[np.arange(len(ids)), ids]
    expected = {
        "pred_ens": np.mean(each, axis=0),
        "mask_ens": under(model, image, lambda m: tf.reduce_mean(m, axis=0)),
        "known_domain": own,
        "known_domain_binary": under(
            model, image, lambda m: tf.gather(tf.round(m), ids)
        ),
        **{f"mask/{name}": each[d] for d, name in enumerate(DOMAINS)},
    }
    for rule, value in expected.items():
        found = model.logits(image, rule, ids)
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)


def test_many_masks_are_taken_some_at_a_time(with_stub, monkeypatch):
    domains = [f"d{i}" for i in range(11)]
    model = build_model("dmg", "stub", 4, domains, image_size=32)
    images = tf.random.stateless_normal((3, 32, 32, 3), (0, 1))
    network, batches = model.task_network, []
    hidden = network.hidden

    def counted(x, *args, **kwargs):
        batches.append(x.shape[0])
        return hidden(x, *args, **kwargs)

    monkeypatch.setattr(network, "hidden", counted)
    rules = ["pred_ens", "mask/d10"]
    found = model.logits_by_rule(images, rules)
    assert batches == [3 * 8, 3 * 3]
    monkeypatch.setattr("dmg_tf.methods.dmg.model._MASKS_AT_ONCE", 11)
    at_once = model.logits_by_rule(images, rules)
    assert batches[2:] == [3 * 11]
    for rule in rules:
        np.testing.assert_allclose(found[rule], at_once[rule], rtol=1e-5)


def test_known_domain_needs_the_domains(model):
    with pytest.raises(UserError, match="needs `domain_ids`"):
        model.logits(np.zeros((1, 32, 32, 3)), "known_domain")


def test_loss_is_cross_entropy_plus_weighted_overlap(model):
    inputs, labels = random_batch(classes=4)
    overlap = sum(
        np.mean(
            [
                soft_iou(mask.mask_probs[i], mask.mask_probs[j])
                for i, j in domain_pairs(3)
            ]
        )
        for mask in model.domain_masks.values()
    )
    model.compile(optimizer=Adam(1e-9))
    logs = model.fit(
        tf.data.Dataset.from_tensors((inputs, labels)),
        verbose=0,
        shuffle=False,
    ).history
    assert logs["siou"][0] == pytest.approx(overlap, rel=1e-4)
    assert logs["loss"][0] == pytest.approx(
        logs["cross_entropy"][0] + 0.1 * overlap, rel=1e-4
    )


def test_penalties_follow_the_settings():
    model = build_model(
        "dmg",
        "resnet18",
        3,
        DOMAINS,
        mask_sites=["fc"],
        siou_weight=0.0,
        siou_reduction="sum",
        sparsity_weight=0.5,
        image_size=32,
    )
    penalties = model.penalties()
    probs = model.domain_masks["fc"].mask_probs
    mean = np.mean([soft_iou(probs[i], probs[j]) for i, j in domain_pairs(3)])
    assert penalties["siou"][0] == 0.0
    assert float(penalties["siou"][1]) == pytest.approx(3 * mean, rel=1e-5)
    assert penalties["sparsity"][0] == 0.5
    assert float(penalties["sparsity"][1]) == pytest.approx(
        float(np.sum(probs)), rel=1e-5
    )


def test_overlap_penalty_alone_separates_the_masks(with_stub):
    model = build_model(
        "dmg",
        "stub",
        3,
        DOMAINS,
        siou_weight=100.0,
        mask_learning_rate=0.2,
        image_size=32,
    )
    rates = [model.rate_of(v, 1e-3) for v in model.trainable_variables]
    assert sorted(set(rates)) == [1.0, 200.0]
    model.compile(optimizer=Adam(1e-3, rates=rates))
    inputs, labels = random_batch()
    data = tf.data.Dataset.from_tensors((inputs, labels)).repeat(30)
    history = model.fit(data, epochs=2, verbose=0, shuffle=False).history
    assert history["siou"][1] < 0.7 * history["siou"][0]


def test_training_draws_by_the_images_own_domain(model):
    seen = []
    mask = model.domain_masks["fc"]
    draw = mask.draw
    mask.draw = lambda probs: seen.append(probs) or draw(probs)
    inputs, _ = random_batch(classes=4)
    try:
        model(inputs, training=True)
    finally:
        mask.draw = draw
    np.testing.assert_allclose(
        seen[0], mask.mask_probs.numpy()[inputs["domain_ids"]], rtol=1e-6
    )


def test_siou_reduction_is_checked():
    with pytest.raises(UserError, match="'max'"):
        build_model("dmg", "resnet18", 3, DOMAINS, siou_reduction="max")


# === Weights by a domain classifier ===


def with_classifier(**kwargs):
    return build_model(
        "dmg",
        "stub",
        4,
        DOMAINS,
        image_size=32,
        domain_classifier=True,
        **kwargs,
    )


def test_predictions_of_the_masks_are_weighted_by_domain(with_stub):
    model = with_classifier()
    inputs, _ = random_batch(classes=4)
    kernel = model.domain_classifier.kernel
    kernel.assign(np.random.default_rng(0).normal(0, 9, kernel.shape))
    entry = model.feature_extractor(inputs["image"]).numpy()
    scores = entry.mean(axis=(1, 2)) @ kernel.numpy()
    scores = np.exp(scores + model.domain_classifier.bias.numpy())
    shares = scores / scores.sum(axis=1, keepdims=True)
    each = [model.logits(inputs["image"], f"mask/{d}") for d in DOMAINS]
    expected = np.einsum("bd,dbc->bc", shares, np.stack(each))
    found = model.logits(inputs["image"], "weighted_ens")
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - np.mean(each, axis=0)).max() > 1e-3


def test_a_domain_classifier_changes_nothing_else(with_stub):
    data = tf.data.Dataset.from_tensors(random_batch(batch=9, classes=4))
    plain = build_model("dmg", "stub", 4, DOMAINS, image_size=32)
    assert not {"domain_loss", "domain_accuracy"} & set(plain.tracked())
    assert "weighted_ens" not in [rule.name for rule in plain.rules()]
    model = with_classifier()
    start = model.domain_classifier.kernel.numpy()
    for each in (plain, model):
        each.compile(Adam(0.05))
        logs = each.fit(data.repeat(3), verbose=0, shuffle=False).history
    assert {"domain_loss", "domain_accuracy"} <= set(logs)
    own = {id(v) for v in model.domain_classifier.variables}
    shared = [v for v in model.variables if id(v) not in own]
    for one, two in zip(plain.variables, shared, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
    assert np.abs(model.domain_classifier.kernel - start).max() > 0.05


def test_a_domain_classifier_is_saved_and_exported(with_stub, tmp_path):
    model = with_classifier(seed=3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images = random_batch(classes=4)[0]["image"]
    expected = model.logits(images, "weighted_ens")
    np.testing.assert_array_equal(
        loaded.logits(images, "weighted_ens"), expected
    )
    stored = stored_network(model)
    found = stored.logits(images, ["weighted_ens"])["weighted_ens"]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert len(stored.variables) == len(model.weights)


# === One mask of all domains ===


def shared(**kwargs):
    return build_model(
        "dmg", "stub", 4, DOMAINS, image_size=32, shared_mask=True, **kwargs
    )


def test_a_shared_mask_predicts_as_the_mask_of_a_domain(with_stub):
    own = build_model("dmg", "stub", 4, DOMAINS, image_size=32)
    one = shared()
    for site, mask in own.domain_masks.items():
        theirs = one.domain_masks[site].mask_logits
        assert theirs.shape == (1, mask.mask_logits.shape[1])
        theirs.assign(mask.mask_logits[1:2])
    inputs, _ = random_batch(classes=4)
    ids = inputs["domain_ids"]
    assert one.prediction_rules == ("pred_ens",)
    found = one.logits(inputs["image"])
    expected = own.logits(inputs["image"], "mask/b")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(
        one.logits(inputs["image"], one.selection_rule, ids),
        own.logits(
            inputs["image"], "known_domain_binary", np.full_like(ids, 1)
        ),
        atol=1e-6,
    )
    assert {v["mean"] for v in one.measures()["mask_iou"].values()} == {1.0}
    folded = stored_network(one, fold=True)
    np.testing.assert_allclose(
        folded.logits(inputs["image"], ["pred_ens"])["pred_ens"],
        found,
        atol=1e-5,
    )


def test_a_shared_mask_learns_from_all_domains(with_stub):
    model = shared(siou_weight=1000.0)
    inputs, labels = random_batch(classes=4)
    with tf.GradientTape() as tape:
        step = model.objective(inputs, labels)
        loss = step.loss
    masks = [m.mask_logits for m in model.domain_masks.values()]
    gradients = tape.gradient(loss, [m.value for m in masks])
    assert float(step.terms["siou"][1]) == 0.0
    assert float(loss) == float(step.terms["cross_entropy"][1])
    for gradient in gradients:
        assert gradient.shape[0] == 1 and np.abs(gradient).max() > 0


def test_one_mask_is_not_weighted():
    with pytest.raises(UserError, match="--shared-mask leaves one"):
        shared(domain_classifier=True)
