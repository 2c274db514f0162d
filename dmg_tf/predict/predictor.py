"""One face for a run folder's model and an exported one: pixels to logits."""

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any

# TensorFlow is loaded by the functions that need it: a wrong folder is told
# before.
from dmg_tf.console.parser import command
from dmg_tf.errors import DamagedFile, UserError, first_line, unknown_name
from dmg_tf.export.metadata import FORMAT_VERSION, signature_of
from dmg_tf.export.saved_model import METADATA_FILE
from dmg_tf.folders.checksums import check_all, read_json
from dmg_tf.predict.untrusted import check_untrusted
from dmg_tf.rules import (
    PredictionRule,
    calibrations_of,
    rules_of,
    rules_of_signatures,
)
from dmg_tf.runs.facts import ModelFacts, accuracies, compared_rules

_SAVED_MODEL, _KERAS_MODEL = "saved_model.pb", "model.keras"
_CONFIG = "config.json"


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A trained model, loaded.

    Attributes:
        facts: What it is.
        logits: images float32 [B, S, S, 3] in [0, 255] -> (float32 [B, C] by
            the rule, float32 [B, D, C] by the domain rules or None). To be
            called in a `tf.function`, which any number of threads may call.
        embed: The same images -> float32 [B, F], the input of the last layer;
            None of an exported model, which does not have it.
        maps: The same images -> (classes int64 [B], float32 [B, R, h, w]),
            where the network looks, as `GradCam`; None of an exported model,
            and of a network that has no feature map. Computed eagerly.
        map_rules: The R rules of these.
    """

    facts: ModelFacts
    logits: Callable
    embed: Callable | None = None
    maps: Callable | None = None
    map_rules: tuple[PredictionRule, ...] = ()

    def probabilities(self, images):
        """Returns what `logits` does and, of both, the probabilities.

        Args:
            images: As for `logits`.

        Returns:
            (logits, domain logits or None, probabilities float32 [B, C],
            those of the domain rules [B, D, C] or None).
        """
        # TensorFlow is loaded by now.
        from dmg_tf.evaluation.probabilities import probabilities

        facts = self.facts
        logits, per_domain = self.logits(images)
        own = facts.calibration_of(facts.prediction_rule).temperature
        each = [facts.calibration_of(r).temperature for r in facts.domain_rules]
        found = None
        if per_domain is not None:
            found = probabilities(per_domain, each)
        return logits, per_domain, probabilities(logits, own), found


def add_trust(parser) -> None:
    """Adds the flag `--trust` to a command's parser."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="load an exported model though it may touch files or run "
        "programs; what dmg_tf.export wrote does neither",
    )


def check_model(folder: str | pathlib.Path) -> None:
    """Raises UserError unless a folder holds a model, without TensorFlow."""
    _is_saved_model(pathlib.Path(folder))


def load_predictor(
    folder: str | pathlib.Path,
    prediction_rule: str | None = None,
    trust: bool = False,
) -> Predictor:
    """Loads the model of a run folder, or one that was exported.

    A run's model computes in the precision it was trained in, as evaluation
    does; an exported one always in float32.

    Args:
        folder: A run folder, or what `dmg_tf.export` wrote.
        prediction_rule: A rule's name; None for the method's first rule, or
            for what was chosen at export.
        trust: Whether an exported model may do what touches files.

    Returns:
        The `Predictor`.

    Raises:
        UserError: If there is no model, it can't be read, it does not know
            the rule, or it may touch files and is not trusted.
    """
    folder = pathlib.Path(folder)
    if _is_saved_model(folder):
        if not trust:
            check_untrusted(folder)
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
        if (folder / _CONFIG).exists():
            raise UserError(
                f"the run in {folder} is not finished: it kept no "
                f"{_KERAS_MODEL} yet; go on with it by "
                f"{command('train')} --resume"
            )
        raise UserError(f"there is no model in {folder}; {expected}")
    _read_metadata(folder)
    return True


def _read_metadata(folder) -> dict[str, Any]:
    path = folder / "assets" / METADATA_FILE
    try:
        metadata = read_json(path, folder)
        version = metadata["format_version"]
    except (OSError, TypeError, KeyError) as error:
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

    from dmg_tf.data.images.transforms import normalize
    from dmg_tf.evaluation.grad_cam import GradCam
    from dmg_tf.evaluation.scoring import dtype_policy
    from dmg_tf.runs.folder import load_run_model, read_results

    results = read_results(folder)
    with dtype_policy(results["config"].get("precision", "float32")):
        model = load_run_model(folder)
    known = [r for r in model.rules() if r.shown and not r.needs_domain]
    rule = _chosen(rule, known, model.rules())
    domains = tuple(model.source_domains)
    facts = ModelFacts(
        method=results["config"]["method"],
        backbone=model.backbone,
        # Files of before the model knew them have them in the results alone.
        class_names=tuple(
            getattr(model, "class_names", None) or results["class_names"]
        ),
        source_domains=domains,
        prediction_rule=rule,
        domain_rules=compared_rules(known, domains),
        image_size=model.image_size,
        calibration=dict(model.calibration),
        **accuracies(results, rule),
    )
    each = [domain_rule.name for domain_rule in facts.domain_rules]

    def prepared(images):
        images = normalize(images, model.mean, model.std)
        return tf.cast(images, model.compute_dtype)

    def logits(images):
        names = dict.fromkeys((rule.name, *each))
        by_name = model.logits_by_rule(prepared(images), names)
        per_domain = None
        if each:
            per_domain = tf.stack([by_name[name] for name in each], axis=1)
        return by_name[rule.name], per_domain

    def embed(images):
        return tf.cast(model.embed(prepared(images)), tf.float32)

    cam = GradCam(model)
    if not cam.possible:
        return Predictor(facts, logits, embed)

    def maps(images):
        return cam(normalize(images, model.mean, model.std))

    return Predictor(facts, logits, embed, maps, tuple(cam.rules))


def _from_saved_model(folder, rule) -> Predictor:
    import tensorflow as tf

    metadata = _read_metadata(folder)
    check_all(folder)
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # a damaged file makes it raise many kinds
        raise DamagedFile(
            f"cannot read the model in {folder}: {first_line(error)}"
        ) from error
    if not hasattr(loaded, "predict"):
        raise UserError(
            f"the model in {folder} is not the one that dmg_tf.export wrote: "
            "it does not predict"
        )
    if "rules" in metadata:
        rules = rules_of(metadata)
    else:
        rules = rules_of_signatures(metadata, loaded.signatures)
    domains = tuple(metadata["source_domains"])
    each = compared_rules(rules, domains)
    known = [r for r in rules if _is_answered(r, rules[0], each, loaded)]
    rule = _chosen(rule, known, rules)
    facts = ModelFacts(
        method=metadata["method"],
        backbone=metadata["backbone"],
        class_names=tuple(metadata["class_names"]),
        source_domains=domains,
        prediction_rule=rule,
        domain_rules=each,
        image_size=metadata["image_size"],
        calibration=calibrations_of(metadata.get("calibration")),
        **accuracies(metadata["training"], rule),
    )

    def logits(images):
        per_domain = None
        if each:
            per_domain = tf.ensure_shape(
                getattr(loaded, signature_of(each[0]))(images)["logits"],
                [None, len(each), len(facts.class_names)],
            )
            # What follows from these needs no second pass.
            if rule.mean_of_domains:
                return tf.reduce_mean(per_domain, axis=1), per_domain
            if rule in each:
                return per_domain[:, each.index(rule)], per_domain
        by_default = rule == rules[0]
        name = "predict" if by_default else signature_of(rule)
        return getattr(loaded, name)(images)["logits"], per_domain

    return Predictor(facts, logits)


def _is_answered(rule, exported, each, loaded) -> bool:
    """Returns whether an exported model predicts by a rule from images alone.

    Args:
        rule: The rule.
        exported: The one that it was exported with.
        each: Those that it compares domains by.
        loaded: The model.
    """
    if rule == exported or rule in each or (each and rule.mean_of_domains):
        return True
    if rule.needs_domain or rule.part:
        return False
    return hasattr(loaded, signature_of(rule))


def _chosen(name, known, rules) -> PredictionRule:
    """Returns the rule of a name; the first one for None.

    Args:
        name: The name, or None.
        known: Rules that can be asked for.
        rules: All rules of the model.

    Raises:
        UserError: If it is not one of the known.
    """
    if name is None:
        return known[0]
    names = [rule.name for rule in known]
    if name in names:
        return known[names.index(name)]
    if any(rule.name == name and rule.needs_domain for rule in rules):
        raise UserError(
            f"the prediction rule {name!r} needs the domain of each image, "
            f"which is not given here; known: {', '.join(names)}"
        )
    raise unknown_name("prediction rule", name, names)
