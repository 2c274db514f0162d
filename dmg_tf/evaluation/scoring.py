"""Scoring a model on a run's images, and a finished run again."""

import contextlib
import pathlib
from collections.abc import Sequence
from typing import Any

import keras

from dmg_tf.config import RunConfig
from dmg_tf.console.bar import Bar, print_error
from dmg_tf.evaluation.evaluator import Evaluator
from dmg_tf.evaluation.grad_cam import GradCam, model_rules
from dmg_tf.evaluation.images import (
    RunImages,
    images_of_run,
    naming_bad_images,
    without_bad_images,
)
from dmg_tf.evaluation.metrics.calibration import of_each
from dmg_tf.evaluation.metrics.summary import metrics_csv, split_metrics
from dmg_tf.evaluation.samples import choose_few
from dmg_tf.folders.checksums import Checksums
from dmg_tf.runs.data_record import note_on_images
from dmg_tf.runs.folder import METRICS, load_checked_model, read_results
from dmg_tf.runs.maps import write_maps
from dmg_tf.runs.predictions import (
    FILE_NAME,
    OUT_OF_DOMAIN,
    ScoredSplit,
    write_predictions,
)


@contextlib.contextmanager
def dtype_policy(name: str):
    """Sets Keras' global dtype policy for a while."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def score(
    model,
    images: RunImages,
    rules: Sequence[str] | None = None,
    checksums: Checksums | None = None,
) -> dict[str, Any]:
    """Measures a model in and out of domain, and says what it measures itself.

    Args:
        model: The model to score.
        images: Its sources' held-out images and its target's.
        rules: Prediction rules; None for all the method shows.
        checksums: Of the run folder, to write what was said of each image;
            None to keep nothing of it.

    Returns:
        The parts of `results.json` that describe the model and its data.
    """
    data = images.data
    splits = _predicted(model, images, rules or model.prediction_rules)
    if checksums:
        with checksums.replacing(FILE_NAME) as temporary:
            write_predictions(temporary, splits, data.class_names)
        _keep_maps(model, images, splits, checksums)
    accuracy, metrics = {"out_of_domain": {}}, {"out_of_domain": {}}
    votes, (first, own) = {}, model_rules(model)
    for split in splits:
        part = OUT_OF_DOMAIN if split.name == OUT_OF_DOMAIN else "in_domain"
        predictions, domains = split.predictions, split.domains
        accuracy[part] = predictions.accuracy(domains)
        metrics[part] = split_metrics(
            predictions, domains, data.class_names, model.calibration
        )
        names = [rule.name for rule in own]
        if names and {first.name, *names} <= predictions.predicted.keys():
            votes[part] = predictions.right_by_votes(first.name, names)
    numbers = {
        "class_names": list(data.class_names),
        "in_domain_split": data.in_domain_split,
        "metrics": metrics,
    }
    if checksums:
        checksums.write_text(METRICS, metrics_csv(numbers))
    return {
        **numbers,
        **accuracy,
        "counts": data.counts(),
        "calibration": {
            rule: own.to_json() for rule, own in model.calibration.items()
        },
        "rules": [rule.to_json() for rule in model.rules()],
        "votes": votes,
        "mask_iou": {},
        "mask_density": {},
        **model.measures(),
    }


def _predicted(model, images: RunImages, rules) -> list[ScoredSplit]:
    """Predicts the sources' images, and the target's by what can."""
    data = images.data
    outside = tuple(
        rule.name for rule in model.rules_named(rules) if not rule.needs_domain
    )
    splits = []
    if len(data.in_domain):
        splits.append(
            (
                data.in_domain_split,
                data.in_domain,
                images.in_domain(),
                tuple(rules),
                data.source_domains,
            )
        )
    if outside and data.held_out:
        splits.append(
            (
                OUT_OF_DOMAIN,
                data.out_of_domain,
                images.target(),
                outside,
                (data.target_domain,),
            )
        )

    def per_image(rule, logits, labels):
        return of_each(logits, labels, model.calibration_of(rule).temperature)

    total = sum(len(examples) for _, examples, *_ in splits)
    scored = []
    with Bar("scoring", total, "images") as bar:
        for name, examples, stream, split_rules, domains in splits:
            with naming_bad_images(examples.paths):
                evaluator = Evaluator(model, split_rules, per_image=per_image)
                found = evaluator(stream, bar.advance)
            scored.append(ScoredSplit(name, examples.paths, domains, found))
    return scored


def _keep_maps(model, images: RunImages, splits, checksums) -> None:
    """Writes where the network looks in a few of the target's images."""
    cam = GradCam(model)
    outside = [split for split in splits if split.name == OUT_OF_DOMAIN]
    if not (outside and cam.possible):
        return
    (target,) = outside
    chosen = choose_few(target.predictions, model.rules(), images.config.seed)
    some = images.data.out_of_domain.select(chosen)
    with naming_bad_images(some.paths):
        _, maps = cam(images.few(some))
    names = [rule.name for rule in cam.rules]
    write_maps(checksums, names, some.paths, maps)


def evaluate_run(
    run_dir: str | pathlib.Path,
    config: RunConfig,
    rules: Sequence[str] | None = None,
    checksums: Checksums | None = None,
) -> dict[str, Any]:
    """Scores the selected model of a run folder.

    Args:
        run_dir: The run folder.
        config: The run's own, or with other data, target or batch size. Other
            data must have the model's classes and its source domains, or hold a
            new site alone: the sources' numbers are then those of the run.
        rules: Prediction rules; None for all the method shows.
        checksums: As for `score`.

    Returns:
        What `results.json` holds, measured now.

    Raises:
        UserError: If there is no model, or data and model do not go together.
    """
    before = read_results(run_dir)
    config, data = images_of_run(before, config)
    if len(data.in_domain):
        note_on_images(run_dir, data, config.data)
    else:  # a new site: nobody has looked at it yet
        for note in data.notes:
            print_error(f"note: {note}")
    bad = {}
    if config.on_bad_image == "skip" and (
        config.data != before["config"]["data"]
        or before["config"].get("on_bad_image") != "skip"
    ):
        scored = (data.in_domain_split, "out_of_domain")
        data, bad = without_bad_images(data, scored)
    with dtype_policy(config.precision):
        model = load_checked_model(run_dir, before)
        if rules:
            model.check_rules(rules, domain_ids=())
        images = RunImages(config, data, model)
        scored = score(model, images, rules, checksums)
    if not len(data.in_domain):
        scored = _beside(before, scored)
    bad = {**before.get("bad_images", {}), **bad}
    return {**before, "config": config.to_json(), **scored, "bad_images": bad}


def _beside(before, scored) -> dict[str, Any]:
    """Returns the numbers of a new site beside the sources' of the run."""
    of_run = before.get("metrics", {}).get("in_domain", {})
    return {
        **scored,
        "in_domain_split": before["in_domain_split"],
        "in_domain": before["in_domain"],
        "metrics": {"in_domain": of_run, **scored["metrics"]},
        "counts": {
            **before["counts"],
            OUT_OF_DOMAIN: scored["counts"][OUT_OF_DOMAIN],
        },
    }
