import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.evaluation.evaluator import Evaluator
from dmg_tf.methods.build import build_model
from dmg_tf.runs.predictions import Predictions
from tests.helpers import random_batch

DOMAINS = ("a", "b", "c")


@pytest.fixture(scope="module")
def model(with_stub):
    return build_model("dmg", "stub", 3, DOMAINS, image_size=32)


def test_overall_is_the_mean_over_domains():
    predictions = Predictions(
        {"pred_ens": np.array([0, 1, 1, 2, 2])},
        labels=np.array([0, 1, 0, 0, 2]),
        domain_ids=np.array([0, 0, 0, 1, 1]),
    )
    row = predictions.accuracy(["a", "b"])["pred_ens"]
    assert row == {
        "a": pytest.approx(2 / 3),
        "b": 0.5,
        "overall": pytest.approx((2 / 3 + 0.5) / 2),
    }


def test_target_images_are_one_domain():
    predictions = Predictions(
        {"pred_ens": np.array([0, 1])}, np.array([0, 0]), np.array([-1, -1])
    )
    assert predictions.accuracy(["t"])["pred_ens"] == {"t": 0.5, "overall": 0.5}


def test_every_image_counts_once(model):
    inputs, labels = random_batch(batch=11)
    dataset = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(4)
    rules = (*model.prediction_rules, model.selection_rule)
    sizes = []
    found = Evaluator(model, rules)(dataset, sizes.append)
    assert sizes == [4, 4, 3]
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.domain_ids, inputs["domain_ids"])
    for rule in rules:
        logits = model.logits(inputs["image"], rule, inputs["domain_ids"])
        np.testing.assert_array_equal(
            found.predicted[rule], np.argmax(logits, axis=-1)
        )


def test_one_trace_serves_all_batches(model):
    inputs, labels = random_batch(batch=11)
    dataset = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(4)
    evaluator = Evaluator(model, ["pred_ens"])
    for _ in range(3):
        evaluator(dataset)
    (step,) = evaluator._steps.values()
    assert step.experimental_get_tracing_count() == 1


def test_out_of_domain_rules_need_no_domain(model):
    rules = model.rules_named((*model.prediction_rules, model.selection_rule))
    assert tuple(rule.name for rule in rules if not rule.needs_domain) == (
        "pred_ens",
        "mask_ens",
        "mask/a",
        "mask/b",
        "mask/c",
    )


def test_masks_are_measured_binary(model):
    mask = model.domain_masks["fc"]
    logits = -np.ones((3, 8), np.float32)
    logits[0, :4] = 0.2
    logits[1, :2] = 3.0
    logits[2, 2:4] = 0.1
    mask.mask_logits.assign(logits)
    measures = model.measures()
    iou = measures["mask_iou"]["fc"]
    assert iou["a|b"] == pytest.approx(0.5) and iou["a|c"] == pytest.approx(0.5)
    assert iou["b|c"] == pytest.approx(0, abs=1e-6)
    assert iou["mean"] == pytest.approx(1 / 3)
    assert measures["mask_density"]["fc"] == {
        "a": pytest.approx(4 / 8),
        "b": pytest.approx(2 / 8),
        "c": pytest.approx(2 / 8),
    }
    kept = np.mean(1 / (1 + np.exp(-logits[1])))
    assert measures["mask_keep"]["fc"]["b"] == pytest.approx(kept)


def test_no_masks_no_overlap(with_stub):
    model = build_model("aggregate", "stub", 3, DOMAINS, image_size=32)
    assert model.measures() == {}
