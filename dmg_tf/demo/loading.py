"""Gets a predictor from a run folder or from an exported model."""

import json
import pathlib
from typing import Any

import tensorflow as tf

from dmg_tf.data.transforms import normalize, resize
from dmg_tf.demo.predictor import ModelFacts, Predictor
from dmg_tf.errors import UserError
from dmg_tf.evaluation import OVERALL
from dmg_tf.training.run_folder import load_run_model, read_results
from dmg_tf.training.scoring import dtype_policy


def load_predictor(folder: str | pathlib.Path) -> Predictor:
    """Loads the model of a run folder, or a SavedModel of `dmg_tf.export`.

    Raises:
        UserError: If there is none, or it can't be read.
    """
    if (pathlib.Path(folder) / "saved_model.pb").is_file():
        return _of_saved_model(folder)
    return _of_run(folder)


def _of_run(run_dir) -> Predictor:
    results = read_results(run_dir)
    with dtype_policy("float32"):
        model = load_run_model(run_dir)
        # Its layers are new and follow the policy; its own is from the file.
        model.dtype_policy = "float32"
    rule = model.prediction_rules[0]
    each = [name for name in model.prediction_rules if "/" in name]
    part = each[0].partition("/")[0] if len(each) > 1 else None

    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    def logits(image):
        images = resize(image[tf.newaxis], model.image_size)
        images = normalize(images, model.mean, model.std)
        found = model.logits_by_rule(images, [rule, *each])
        return [found[name][0] for name in (rule, *each)]

    def network(image):
        probs = tf.nn.softmax(tf.stack(logits(image))).numpy()
        return probs[0], probs[1:] if part else None

    facts = _facts(
        {**results, "method": results["config"]["method"]},
        backbone=model.backbone,
        source_domains=model.source_domains,
        prediction_rule=rule,
        part=part,
        image_size=model.image_size,
    )
    return Predictor(facts, network)


def _of_saved_model(folder) -> Predictor:
    try:
        loaded = tf.saved_model.load(str(folder))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise UserError(
            f"cannot read the SavedModel {folder}: {str(error).splitlines()[0]}"
        ) from error
    served = loaded.signatures
    if "metadata" not in served or "serving_default" not in served:
        raise UserError(
            f"the SavedModel {folder} was not written by dmg_tf.export: it has "
            "no signature 'metadata'"
        )
    metadata = json.loads(served["metadata"]()["metadata"].numpy())
    part = next((p for p in ("mask", "head") if f"per_{p}" in served), None)
    if len(metadata["source_domains"]) < 2:  # nothing to compare
        part = None

    def network(image):
        images = tf.constant(image)[tf.newaxis]
        answer = served["serving_default"](images=images)
        probs, of_each = answer["probabilities"][0].numpy(), None
        if part:
            of_each = served[f"per_{part}"](images=images)["probabilities"]
            of_each = of_each[0].numpy()
        return probs, of_each

    # What was loaded lives as long as someone holds it.
    network.loaded = loaded
    facts = _facts(
        {**metadata["training"], **metadata},
        backbone=metadata["backbone"],
        source_domains=metadata["source_domains"],
        prediction_rule=metadata["prediction_rule"],
        part=part,
        image_size=metadata["image_size"],
    )
    return Predictor(facts, network)


def _facts(results: dict[str, Any], **known) -> ModelFacts:
    rule = known["prediction_rule"]
    in_domain = results.get("in_domain", {}).get(rule, {})
    outside = results.get("out_of_domain", {}).get(rule, {})
    known["source_domains"] = tuple(known["source_domains"])
    return ModelFacts(
        method=results["method"],
        class_names=tuple(results["class_names"]),
        in_domain=in_domain.get(OVERALL),
        out_of_domain={
            domain: value
            for domain, value in outside.items()
            if domain != OVERALL
        },
        **known,
    )
