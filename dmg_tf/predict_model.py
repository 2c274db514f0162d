"""One face for a run folder's model and an exported one: pixels to answers."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

# TensorFlow is loaded by the functions that need it: a wrong folder is told
# before.
from dmg_tf.errors import UserError
from dmg_tf.export import FORMAT_VERSION, METADATA_FILE
from dmg_tf.registry import unknown_name

_SAVED_MODEL, _KERAS_MODEL = "saved_model.pb", "model.keras"


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A trained model, wherever it came from.

    Attributes:
        class_names: In the order of the logits.
        prediction_rule: How `logits` predicts.
        image_size: Side of the images it takes, pixels.
        domain_rules: Rule names of the source domains' own predictions, e.g.
            "mask/photo" or "head/photo"; empty for a model that has none.
        logits: images float32 [B, S, S, 3] in [0, 255] -> (float32 [B, C] by
            the rule, float32 [B, D, C] by the domain rules or None).
    """

    class_names: tuple[str, ...]
    prediction_rule: str
    image_size: int
    domain_rules: tuple[str, ...]
    logits: Callable


def check_model(folder: str) -> None:
    """Raises UserError unless a folder holds a model, without TensorFlow."""
    _is_saved_model(pathlib.Path(folder))


def load_predictor(folder: str, prediction_rule: str | None = None):
    """Loads the model of a run folder, or one that was exported.

    A run's model computes in the precision it was trained in, as evaluation
    does; an exported one always in float32.

    Args:
        folder: A run folder, or what `dmg_tf.export` wrote.
        prediction_rule: None for the method's first rule, or for what was
            chosen at export.

    Returns:
        The `Predictor`.

    Raises:
        UserError: If there is no model, it can't be read, or it does not know
            the rule.
    """
    folder = pathlib.Path(folder)
    if _is_saved_model(folder):
        return _from_saved_model(folder, prediction_rule)
    return _from_run(folder, prediction_rule)


def _is_saved_model(folder) -> bool:
    expected = (
        f"give a run folder (with {_KERAS_MODEL}) or a folder that "
        "dmg_tf.export wrote"
    )
    if not os.path.isdir(folder):
        what = "is a file" if os.path.exists(folder) else "does not exist"
        raise UserError(f"the model {folder} {what}; {expected}")
    if (folder / _KERAS_MODEL).exists():
        return False
    if not (folder / _SAVED_MODEL).exists():
        raise UserError(f"there is no model in {folder}; {expected}")
    _read_metadata(folder)
    return True


def _read_metadata(folder) -> dict[str, Any]:
    path = folder / "assets" / METADATA_FILE
    try:
        metadata = json.loads(path.read_text("utf-8"))
        version = metadata["format_version"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{folder} was not written by dmg_tf.export: cannot read {path} "
            f"({error})"
        ) from error
    if version != FORMAT_VERSION:
        raise UserError(
            f"{folder} has format {version}, this version reads "
            f"{FORMAT_VERSION}; export the run again"
        )
    return metadata


def _from_run(folder, rule) -> Predictor:
    import tensorflow as tf

    from dmg_tf.data.transforms import normalize
    from dmg_tf.evaluation import out_of_domain_rules
    from dmg_tf.training.run_folder import load_run_model, read_results
    from dmg_tf.training.scoring import dtype_policy

    results = read_results(folder)
    with dtype_policy(results["config"].get("precision", "float32")):
        model = load_run_model(folder)
    known = out_of_domain_rules(model.prediction_rules)
    rule = _checked_rule(rule or known[0], known)
    each = tuple(r for r in known if "/" in r)

    def logits(images):
        images = normalize(images, model.mean, model.std)
        images = tf.cast(images, model.compute_dtype)
        found = model.logits_by_rule(images, dict.fromkeys((rule, *each)))
        per_domain = [found[r] for r in each]
        return found[rule], tf.stack(per_domain, axis=1) if each else None

    return Predictor(
        tuple(results["class_names"]), rule, model.image_size, each, logits
    )


def _from_saved_model(folder, rule) -> Predictor:
    import tensorflow as tf

    metadata = _read_metadata(folder)
    try:
        loaded = tf.saved_model.load(str(folder))
    except (tf.errors.OpError, OSError, ValueError) as error:
        raise UserError(
            f"cannot read the model in {folder}: {str(error).splitlines()[0]}"
        ) from error
    kind = ""
    for name in ("mask", "head"):
        if hasattr(loaded, f"per_{name}"):
            kind = name
    each = tuple(f"{kind}/{d}" for d in metadata["source_domains"] if kind)
    class_names = tuple(metadata["class_names"])
    exported = metadata["prediction_rule"]
    known = [exported, *each]
    if each:
        known.append("pred_ens")
    if hasattr(loaded, "mask_ens"):
        known.append("mask_ens")
    rule = _checked_rule(rule or exported, dict.fromkeys(known))

    def logits(images):
        per_domain = None
        if each:
            per_domain = tf.ensure_shape(
                getattr(loaded, f"per_{kind}")(images)["logits"],
                [None, len(each), len(class_names)],
            )
            # What follows from these needs no second pass.
            if rule == "pred_ens":
                return tf.reduce_mean(per_domain, axis=1), per_domain
            if rule in each:
                return per_domain[:, each.index(rule)], per_domain
        predict = loaded.predict if rule == exported else loaded.mask_ens
        return predict(images)["logits"], per_domain

    return Predictor(class_names, rule, metadata["image_size"], each, logits)


def _checked_rule(rule, known) -> str:
    if rule.startswith("known_domain"):
        raise UserError(
            f"the prediction rule {rule!r} needs the domain of each image, "
            f"which is not given here; known: {', '.join(known)}"
        )
    if rule not in known:
        raise unknown_name("prediction rule", rule, known)
    return rule
