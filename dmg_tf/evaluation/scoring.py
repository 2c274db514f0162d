"""Scoring a model on a run's data, and a finished run again."""

import contextlib
import dataclasses
import pathlib
from typing import Any

import keras
import tensorflow as tf

from dmg_tf.config import RunConfig
from dmg_tf.console.bar import Bar
from dmg_tf.data import detect_dataset
from dmg_tf.data.examples import DomainData
from dmg_tf.data.images.bad_images import bad_image_error, find_bad_images
from dmg_tf.data.service.client import not_for_service, undecodable_path
from dmg_tf.data.streams.evaluation import ImageSpec, evaluation_dataset
from dmg_tf.errors import UserError
from dmg_tf.evaluation.evaluator import Evaluator
from dmg_tf.files import replacing
from dmg_tf.registry import DATASETS
from dmg_tf.runs.folder import load_run_model, read_results
from dmg_tf.runs.predictions import (
    OUT_OF_DOMAIN,
    ScoredSplit,
    write_predictions,
)


def load_data(config: RunConfig) -> DomainData:
    """Returns the run's data; no image is opened."""
    return DATASETS[config.dataset].load(
        config.data, config.target, config.sources, config.seed
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


def image_spec(model, config: RunConfig) -> ImageSpec:
    """Returns how images are prepared for a model."""
    augment = config.augment
    if augment == "paper":
        augment = "domainnet" if config.dataset == "domainnet" else "pacs"
    return ImageSpec(config.image_size, model.mean, model.std, augment)


def score(
    model,
    config: RunConfig,
    data: DomainData,
    rules=None,
    predictions_path: pathlib.Path | None = None,
) -> dict:
    """Measures accuracy in and out of domain, and the masks.

    Args:
        model: The model to score.
        config: Gives image and batch size.
        data: Its sources' held-out images and its target's.
        rules: Prediction rules; None for all the method shows.
        predictions_path: Where to write what was said of each image.

    Returns:
        The parts of `results.json` that describe the model and its data.
    """
    rules = tuple(rules or model.prediction_rules)
    spec = image_spec(model, config)
    outside = tuple(
        rule.name for rule in model.rules_named(rules) if not rule.needs_domain
    )
    splits = [
        (data.in_domain_split, data.in_domain, rules, data.source_domains)
    ]
    if outside:
        splits.append(
            (
                OUT_OF_DOMAIN,
                data.out_of_domain,
                outside,
                (data.target_domain,),
            )
        )
    total = sum(len(examples) for _, examples, _, _ in splits)
    scored = []
    with Bar("scoring", total, "images") as bar:
        for name, examples, split_rules, domains in splits:
            dataset = evaluation_dataset(examples, spec, config.batch_size)
            with naming_bad_images(examples.paths):
                predictions = Evaluator(model, split_rules)(
                    dataset, bar.advance
                )
            scored.append(
                ScoredSplit(name, examples.paths, domains, predictions)
            )
    if predictions_path:
        with replacing(predictions_path) as temporary:
            write_predictions(temporary, scored, data.class_names)
    tables = [split.predictions.accuracy(split.domains) for split in scored]
    return {
        "counts": data.counts(),
        "in_domain_split": data.in_domain_split,
        "in_domain": tables[0],
        "out_of_domain": tables[1] if outside else {},
        "rules": [rule.to_json() for rule in model.rules()],
        "mask_iou": {},
        "mask_density": {},
        **model.measures(),
    }


def evaluate_run(
    run_dir: str | pathlib.Path,
    config: RunConfig,
    rules=None,
    predictions_path: pathlib.Path | None = None,
) -> dict[str, Any]:
    """Scores the selected model of a run folder.

    Args:
        run_dir: The run folder.
        config: The run's own, or with other data, target or batch size. Other
            data must have the model's classes and its source domains.
        rules: Prediction rules; None for all the method shows.
        predictions_path: Where to write what was said of each image.

    Returns:
        What `results.json` holds, measured now.

    Raises:
        UserError: If there is no model, or data and model do not go together.
    """
    before = read_results(run_dir)
    if config.data != before["config"]["data"]:
        dataset = detect_dataset("auto", config.data)
        config = dataclasses.replace(config, dataset=dataset)
    config = dataclasses.replace(
        config, sources=tuple(before["source_domains"])
    )
    config.check()
    data = load_data(config)
    if list(data.class_names) != before["class_names"]:
        raise UserError(
            f"the model knows the classes {', '.join(before['class_names'])}; "
            f"the data has {', '.join(data.class_names)}"
        )
    if before["bad_images"] and config.data == before["config"]["data"]:
        data = data.without(before["bad_images"])
    with dtype_policy(config.precision):
        model = load_run_model(run_dir)
        if rules:
            model.check_rules(rules, domain_ids=())
        scored = score(model, config, data, rules, predictions_path)
    return {**before, "config": config.to_json(), **scored}


@contextlib.contextmanager
def naming_bad_images(paths, stream=None, model=None, more_paths=()):
    """Turns TensorFlow's nameless decoding error into one with a file."""
    try:
        yield
    except (
        tf.errors.InvalidArgumentError,
        tf.errors.UnknownError,
        tf.errors.NotFoundError,
    ) as error:
        undecodable = undecodable_path(error)
        if undecodable:
            raise UserError(not_for_service(undecodable)) from error
        gone = _missing_file(error)
        if gone and gone not in {*paths, *more_paths}:
            raise UserError(
                f"{gone} is gone, which --cache disk had written; start "
                "again with --resume, and the images are decoded anew"
            ) from error
        order = []
        if stream is not None:
            # Most likely among the batches that were being prepared.
            first = int(model.optimizer.iterations.numpy())
            for step in range(first, first + 4):
                order += [
                    stream.examples.paths[i]
                    for i in stream.examples_of_step(step)
                ]
        order += [*more_paths, *paths]
        bad = find_bad_images(dict.fromkeys(order), stop_at_first=True)
        if not bad:
            raise
        raise bad_image_error(bad) from error


def _missing_file(error: Exception) -> str | None:
    """Returns the file that TensorFlow did not find, if it was that."""
    before, found, _ = str(error).partition("; No such file or directory")
    return before.rpartition("}} ")[2] if found else None
