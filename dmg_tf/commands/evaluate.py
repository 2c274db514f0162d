"""Prints accuracy in and out of domain of a finished run.

dmg-tf evaluate RUN_DIR [--data DIR] [--prediction-rule RULE ...] [--json]
"""

import dataclasses
import json
import pathlib

from dmg_tf.config import RunConfig
from dmg_tf.console.parser import OneLineParser, program
from dmg_tf.console.quiet import load_tensorflow
from dmg_tf.errors import UserError, unknown_name
from dmg_tf.evaluation.new_site import has_labels
from dmg_tf.rules import rules_of
from dmg_tf.runs.folder import read_results


def make_parser() -> OneLineParser:
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", metavar="RUN_DIR", help="a run folder")
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="other data with the same domains and classes; a new site alone: "
        "DIR/<class>/<image>; or images without labels",
    )
    parser.add_argument(
        "--target", metavar="DOMAIN", help="the domain to score as target"
    )
    parser.add_argument(
        "--prediction-rule",
        nargs="+",
        metavar="RULE",
        help="the rules to predict by; a name that the run's method does not "
        "know lists those it does (default: all that the table shows)",
    )
    parser.add_argument(
        "--batch-size", type=int, help="images a step (default: the run's)"
    )
    parser.add_argument(
        "--on-bad-image",
        choices=("error", "skip"),
        help="whether an image that can't be read ends it, or is left out and "
        "counted (default: as the run did)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON instead of a table"
    )
    return parser


@program()
def main(argv: list[str] | None = None) -> int:
    args = make_parser().parse_args(argv)
    config = RunConfig.read(args.run_dir)
    before = read_results(args.run_dir)
    _check_rules(args.prediction_rule or (), before)
    unlabelled = bool(
        args.data and not args.target and not has_labels(args.data, before)
    )
    if unlabelled and len(args.prediction_rule or ()) > 1:
        raise UserError(
            f"{args.data} has no labels to compare rules by: give one "
            "--prediction-rule"
        )
    load_tensorflow()
    if unlabelled:
        return _unlabelled(args, config)
    from dmg_tf.evaluation.scoring import evaluate_run
    from dmg_tf.report.text import show_results

    changes = {
        name: getattr(args, name)
        for name in ("data", "target", "batch_size", "on_bad_image")
        if getattr(args, name) is not None
    }
    results = evaluate_run(
        args.run_dir,
        dataclasses.replace(config, **changes),
        args.prediction_rule,
    )
    if args.json:
        print(json.dumps(results, indent=2))
    else:
        show_results(results, pathlib.Path(args.run_dir))
    return 0


def _unlabelled(args, config) -> int:
    from dmg_tf.predict.unlabelled import evaluate_unlabelled
    from dmg_tf.predict.unlabelled_text import show_unlabelled

    found = evaluate_unlabelled(
        args.run_dir,
        args.data,
        (args.prediction_rule or [None])[0],
        args.batch_size or config.batch_size,
        (args.on_bad_image or config.on_bad_image) == "skip",
    )
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        show_unlabelled(found)
    return 0


def _check_rules(names, results) -> None:
    known = [rule.name for rule in rules_of(results)]
    for name in names:
        if name not in known:
            raise unknown_name("prediction rule", name, known)
