"""Fitting what a finished model's probabilities need, on its sources alone."""

import dataclasses

import numpy as np

from dmg_tf.evaluation.evaluator import Evaluator
from dmg_tf.evaluation.images import RunImages, naming_bad_images
from dmg_tf.evaluation.metrics.abstaining import thresholds_of
from dmg_tf.evaluation.metrics.calibration import softmax
from dmg_tf.evaluation.metrics.temperature import FEW, fit_temperature
from dmg_tf.rules import Calibration


def calibrate(model, images: RunImages) -> None:
    """Sets the model's `calibration`, by the sources' validation images.

    Each rule that needs no domain has its own; where an image comes from is
    not told. The target has no part in it.

    Args:
        model: The selected model.
        images: The run's.
    """
    rules = [
        rule.name
        for rule in model.rules()
        if rule.shown and not rule.needs_domain
    ]

    def per_image(rule, logits, labels):
        del rule, labels
        return {"logits": logits}

    with naming_bad_images(images.data.validation.paths):
        evaluator = Evaluator(model, rules, per_image=per_image)
        found = evaluator(images.validation())
    model.calibration = {
        rule: _fitted(logits, found.labels)
        for rule, logits in found.further["logits"].items()
    }


def _fitted(logits, labels) -> Calibration:
    own = fit_temperature(logits, labels)
    if len(labels) < FEW:
        return own
    confidence = softmax(logits, own.temperature).max(axis=1)
    # As the model says it.
    confidence = confidence.astype(np.float32)
    hits = logits.argmax(axis=1) == labels
    return dataclasses.replace(own, thresholds=thresholds_of(confidence, hits))
