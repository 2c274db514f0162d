"""The flags of a search that are not of a run."""

import argparse
import importlib.util

from dmg_tf.config import RunConfig
from dmg_tf.errors import UserError, missing_extra

TUNERS = ("grid", "random", "bayesian", "hyperband")


def add_search_flags(parser: argparse.ArgumentParser) -> None:
    """Adds how to search, how often, and where it is kept."""
    parser.add_argument(
        "--tuner",
        choices=TUNERS,
        default="grid",
        help="grid: every combination (default); random; bayesian: where a "
        "Gaussian process hopes for most; hyperband: many for few epochs, the "
        "best of them for more",
    )
    parser.add_argument(
        "--max-trials",
        type=_positive,
        metavar="N",
        help="stop after N settings (default: all of a grid, 10 of random and "
        "bayesian; hyperband's number follows from --epochs)",
    )
    parser.add_argument(
        "--executions-per-trial",
        type=_positive,
        default=1,
        metavar="N",
        help="train each setting with the seeds --seed, --seed + 1, ... "
        "(default: 1)",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        help="folder of the search; the same command goes on with it "
        "(default: runs/<tuner>-<dataset>-<target>-<method>-<backbone>-"
        "seed<seed>)",
    )
    parser.add_argument(
        "--worker-timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="a worker that is silent for so long is taken for dead, and its "
        "trial given to another (default: 60; the same for chief and workers)",
    )


def check_tuner(args: argparse.Namespace) -> None:
    """Raises UserError if the tuner can't be had, or not with these flags."""
    if not importlib.util.find_spec("keras_tuner"):
        raise missing_extra(
            "a search needs keras-tuner, not installed", "search"
        )
    if args.tuner == "hyperband" and args.max_trials is not None:
        raise UserError(
            "--max-trials does not go with --tuner hyperband: its number of "
            "trials follows from --epochs"
        )
    if args.tuner == "bayesian" and not importlib.util.find_spec("sklearn"):
        raise missing_extra(
            "--tuner bayesian needs scikit-learn, not installed", "search"
        )


def check_length(tuner: str, config: RunConfig) -> None:
    """Raises UserError if runs can't be prolonged as asked.

    Args:
        tuner: One of `TUNERS`.
        config: The runs'.
    """
    if tuner == "hyperband" and config.uses_length:
        what = config.method
        if config.schedule == "cosine":
            what += " with --schedule cosine"
        raise UserError(
            f"--tuner hyperband prolongs runs, and what a step of {what} "
            "does depends on the length of its run; give another tuner"
        )


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(
            f"must be a whole number above 0, got {text!r}"
        )
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 86_400:
        raise argparse.ArgumentTypeError(
            f"must be a number of seconds from 1 to 86400, got {text!r}"
        )
    return value
