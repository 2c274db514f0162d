"""Run folders with everything a report is made of, without a training."""

import dataclasses
import itertools
import json

import numpy as np
import PIL.Image

from dmg_tf.evaluation.metrics.summary import split_metrics
from dmg_tf.rules import Calibration
from dmg_tf.runs.history import history_csv
from dmg_tf.runs.predictions import Predictions, ScoredSplit, write_predictions

DOMAINS = ("a", "b", "c")
CLASSES = ("x", "y", "z")
CALIBRATION = Calibration(
    1.25, 30, thresholds={"0.05": 0.8, "0.1": 0.5, "0.2": 2.0}
)


def write_run(
    folder,
    domains=DOMAINS,
    classes=CLASSES,
    target="t",
    method="dmg",
    epochs=3,
    images=30,
    seed=0,
    name="run",
    rules=(),
    metrics=False,
):
    """Writes the files of a finished run; returns its results.

    Those of version 0.1, which have no "rules", unless given some.
    """
    rng = np.random.default_rng(seed)
    run_dir = folder / name
    run_dir.mkdir(parents=True)
    data = folder / "data"
    part = {"dmg": "mask", "multi_headed": "head"}.get(method)
    first = ["pred_ens", *(["mask_ens"] if part == "mask" else [])]
    outside = [*first, *([f"{part}/{d}" for d in domains] if part else [])]
    known = ["known_domain"] if part else []
    inside = [*first, *known, *outside[len(first) :]]
    if rules:
        inside = [rule.name for rule in rules if rule.shown]
        known = [rule.name for rule in rules if rule.needs_domain]
        outside = [name for name in inside if name not in known]
    ids = np.arange(images) % len(domains)
    scored = [
        _split(rng, "validation", images, domains, ids, inside, classes, data),
        _split(
            rng,
            "out_of_domain",
            images,
            (target,),
            np.full(images, -1),
            outside,
            classes,
            data,
        ),
    ]
    write_predictions(run_dir / "predictions.csv", scored, classes)
    history = [_epoch(rng, e, domains, method) for e in range(1, epochs + 1)]
    (run_dir / "history.csv").write_text(history_csv(history))
    config = {
        "target": target,
        "data": str(data),
        "dataset": "folder",
        "method": method,
        "backbone": "resnet18",
        "epochs": epochs,
        "image_size": 64,
        "seed": seed,
        "mask_sites": ["layer4", "fc"],
    }
    pairs = [f"{a}|{b}" for a, b in itertools.combinations(domains, 2)]
    sites = ("layer4", "fc") if method == "dmg" else ()
    counted = {d: int(np.sum(ids == i)) for i, d in enumerate(domains)}
    best = max(history, key=lambda row: row["validation_overall"])
    results = {
        "config": config,
        "class_names": list(classes),
        "source_domains": list(domains),
        "counts": {
            "train": {d: 9 * n for d, n in counted.items()},
            "validation": counted,
            "out_of_domain": {target: images},
        },
        **({"rules": [rule.to_json() for rule in rules]} if rules else {}),
        **(_metrics_and_calibration(scored, classes) if metrics else {}),
        "in_domain_split": "validation",
        "in_domain": scored[0].predictions.accuracy(domains),
        "out_of_domain": scored[1].predictions.accuracy((target,)),
        "mask_iou": {
            s: {p: float(rng.uniform(0.5, 1)) for p in (*pairs, "mean")}
            for s in sites
        },
        "mask_density": {
            s: {d: float(rng.uniform(0.5, 1)) for d in domains} for s in sites
        },
        "selection": {
            "rule": "known_domain_binary" if sites else inside[0],
            "epoch": best["epoch"],
            "value": best["validation_overall"],
        },
        "timing": {
            "train_images_per_second": 87.5,
            "train_seconds": 352.3,
            "total_seconds": 400.0,
        },
        "bad_images": {},
        "notes": [],
    }
    (run_dir / "config.json").write_text(json.dumps(config))
    (run_dir / "results.json").write_text(json.dumps(results))
    environment = {
        "dmg_tf": "0.1.0",
        "commit": "0123abc+",
        "python": "3.11.7",
        "platform": "Linux",
        "packages": {"tensorflow": "2.21.0", "keras": "3.15.1"},
        "devices": ["/physical_device:CPU:0"],
        "weights": {"file": None, "sha256": None},
    }
    (run_dir / "environment.json").write_text(json.dumps(environment))
    return results


def _metrics_and_calibration(splits, classes):
    found = {}
    for split in splits:
        sure = split.predictions.probabilities
        further = ("brier", "raw_confidence", "raw_brier")
        predictions = dataclasses.replace(
            split.predictions, further=dict.fromkeys(further, sure)
        )
        part = "in_domain" if split.name == "validation" else split.name
        own = dict.fromkeys(sure, CALIBRATION)
        found[part] = split_metrics(predictions, split.domains, classes, own)
    rules = splits[1].predictions.predicted
    own = CALIBRATION.to_json()
    return {"metrics": found, "calibration": dict.fromkeys(rules, own)}


def _split(rng, name, count, domains, ids, rules, classes, data):
    labels = np.arange(count) % len(classes)
    predicted = {
        rule: np.where(
            rng.random(count) < 0.6,
            labels,
            rng.integers(0, len(classes), count),
        )
        for rule in rules
    }
    sure = {rule: rng.uniform(0.2, 1.0, count) for rule in rules}
    paths = []
    for i, (label, domain) in enumerate(zip(labels, ids, strict=True)):
        folder = data / domains[max(domain, 0)] / classes[label]
        paths.append(str(folder / f"{i}.png"))
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (40, 56, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(paths[-1])
    return ScoredSplit(
        name, paths, tuple(domains), Predictions(predicted, labels, ids, sure)
    )


def _epoch(rng, epoch, domains, method):
    values = {d: 1 - rng.uniform(0.5, 1) / epoch for d in domains}
    extra = {"cross_entropy": 2 / epoch, "siou": 0.9 - 0.002 * epoch}
    return {
        "epoch": epoch,
        "learning_rate": 0.001 * 0.99 ** (epoch - 1),
        "accuracy": 1 - 0.8 / epoch,
        "loss": 2.1 / epoch,
        **(extra if method == "dmg" else {}),
        **{f"validation_{d}": v for d, v in values.items()},
        "validation_overall": float(np.mean(list(values.values()))),
        "seconds": 20.0,
        "images_per_second": float("nan") if epoch == 1 else 88.0,
    }
