"""What a model says of a folder of images without labels."""

import heapq
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from dmg_tf.console.bar import Bar, print_error
from dmg_tf.console.quiet import quiet_libraries
from dmg_tf.data.images.bad_images import bad_image_error
from dmg_tf.errors import UserError
from dmg_tf.files import name_part, write_json
from dmg_tf.predict.inputs import collect_paths
from dmg_tf.predict.predictor import load_predictor
from dmg_tf.predict.stream import Answers, predict_stream
from dmg_tf.predict.table import column_names, open_table, table_rows
from dmg_tf.report.verdict import overall_numbers
from dmg_tf.rules import ABSTAIN_RATES, rate_name
from dmg_tf.runs.facts import ModelFacts
from dmg_tf.runs.folder import read_results

# How many pictures are named as the most doubtful ones.
DOUBTFUL = 10


def evaluate_unlabelled(
    run_dir: str | pathlib.Path,
    root: str,
    prediction_rule: str | None = None,
    batch_size: int = 64,
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Predicts a folder of images and counts what is said of them.

    The predictions and the counts are written beside the run, as
    `<run>-on-<folder>.csv` and `.json`; the table is that of `dmg-tf predict`
    with two classes a row.

    Args:
        run_dir: The run folder.
        root: The folder of images, in folders or not.
        prediction_rule: A rule's name; None for the method's first.
        batch_size: Images a step.
        skip_bad: Whether images that can't be read are rows of the table that
            say so, instead of ending it.

    Returns:
        What the JSON file holds. Shares are fractions; "sources" is what the
        run measured on its sources' images, None of an older run.

    Raises:
        UserError: If there is no model or rule, an image can't be read, or a
            file can't be written.
    """
    paths = collect_paths([root])
    if paths.left_out:
        print_error(f"note: left out: {paths.note()}")
    run = pathlib.Path(os.path.abspath(run_dir))
    site = os.path.basename(os.path.abspath(root))
    stem = f"{run.name}-on-{name_part(site)}"
    table_file = run.with_name(f"{stem}.csv")
    with open_table(str(table_file)) as table:
        predictor = load_predictor(run_dir, prediction_rule)
        facts = predictor.facts
        top_k = min(2, len(facts.class_names))
        below = facts.abstains_below()
        counts = _Counts(facts)
        table.write([column_names(facts, top_k, below)])
        with (
            Bar("predicting", len(paths), "images") as bar,
            quiet_libraries(streams=(2,)),
        ):
            for batch in predict_stream(predictor, paths, batch_size, top_k):
                names, reasons, answers = batch
                counts.add(names, reasons, answers)
                if counts.unreadable and not skip_bad:
                    raise bad_image_error(counts.unreadable)
                table.write(table_rows(facts, *batch, top_k, below))
                bar.advance(len(names))
        if not counts.images:
            raise UserError(f"no image of {root} could be read")
    found = {
        "data": str(root),
        "site": site,
        **counts.to_json(),
        "sources": _of_sources(read_results(run_dir), facts),
        "predictions_file": str(table_file),
    }
    write_json(table_file.with_suffix(".json"), found)
    return found


class _Counts:
    """What a model says of images, counted a batch at a time.

    Args:
        facts: What the model is.

    Attributes:
        images: How many could be read.
        unreadable: {path: why} of the others.
    """

    def __init__(self, facts: ModelFacts):
        self._facts = facts
        self.images = 0
        self.unreadable: dict[str, str] = {}
        self._predicted = np.zeros(len(facts.class_names), np.int64)
        self._probability = self._agreement = 0.0
        self._disputed = 0
        limits = {rate: facts.abstains_below(rate) for rate in ABSTAIN_RATES}
        self._limits = {r: v for r, v in limits.items() if v is not None}
        self._undecided = dict.fromkeys(self._limits, 0)
        # (probability, place, path, class ids, probabilities), least first.
        self._doubtful: list[tuple] = []

    def add(self, names, reasons, answers: Answers | None) -> None:
        """Counts a batch, given as `predict_stream` yields it."""
        first = self.images + len(self.unreadable)
        self.unreadable |= {
            n: r for n, r in zip(names, reasons, strict=True) if r
        }
        read = [i for i, reason in enumerate(reasons) if not reason]
        if not read:
            return
        self.images += len(read)
        ids, shares = answers.class_ids[read], answers.probabilities[read]
        np.add.at(self._predicted, ids[:, 0], 1)
        self._probability += float(shares[:, 0].sum(dtype=np.float64))
        for rate, limit in self._limits.items():
            self._undecided[rate] += int((shares[:, 0] < limit).sum())
        if self._facts.domain_rules:
            agreement = answers.agreement[read]
            self._agreement += float(agreement.sum(dtype=np.float64))
            self._disputed += int((answers.votes[read] < 1).sum())
        new = (
            (float(p[0]), first + i, names[i], own.tolist(), p.tolist())
            for i, own, p in zip(read, ids, shares, strict=True)
        )
        self._doubtful = heapq.nsmallest(DOUBTFUL, [*self._doubtful, *new])

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as plain values."""
        facts = self._facts
        mean = self._probability / self.images
        part = facts.part
        return {
            "images": self.images,
            "unreadable": self.unreadable,
            "prediction_rule": facts.prediction_rule.to_json(),
            "class_names": list(facts.class_names),
            "predicted": self._predicted.tolist(),
            "mean_probability": mean,
            "calibrated": facts.calibration_of(facts.prediction_rule).images
            > 0,
            # As of a model that is right as often as it says.
            "estimated_accuracy": mean,
            "part": part,
            "agreement": self._agreement / self.images if part else None,
            "disputed": self._disputed / self.images if part else None,
            "undecided": {
                rate_name(rate): count / self.images
                for rate, count in self._undecided.items()
            },
            "most_doubtful": [
                {
                    "path": path,
                    "classes": [facts.class_names[i] for i in ids],
                    "probabilities": shares,
                }
                for _, _, path, ids, shares in self._doubtful
            ],
        }


def _of_sources(
    results: Mapping[str, Any], facts: ModelFacts
) -> dict[str, Any] | None:
    """Returns what a run measured by the same rule on its sources' images."""
    rule = facts.prediction_rule.name
    numbers = overall_numbers(results, "in_domain", rule)
    if numbers is None:
        return None
    return {
        "split": results["in_domain_split"],
        "images": numbers["images"],
        "predicted": numbers["classes"]["predicted"],
        "accuracy": numbers["accuracy"],
        "undecided": {
            rate: 1 - known["coverage"]
            for rate, known in numbers["abstain"].items()
        },
    }
