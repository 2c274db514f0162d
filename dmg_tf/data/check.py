"""Says what a dataset holds, and all that is wrong with it, before training.

python -m dmg_tf.data.check DIR [--dataset NAME] [--fast] [--json]
"""

import argparse
import json
import os
import pathlib
import sys
from typing import Any

# TensorFlow is loaded by the functions that need it: `--fast` does not.
from dmg_tf.config import OneLineParser
from dmg_tf.data import detect_dataset
from dmg_tf.data.check_classes import report_classes
from dmg_tf.data.check_folder import Inventory, report_others, scan_folder
from dmg_tf.data.check_kinds import SEVERITIES
from dmg_tf.data.check_layouts import LAYOUTS
from dmg_tf.data.check_lists import scan_lists
from dmg_tf.data.check_problems import Problems
from dmg_tf.data.check_report import print_report, printable
from dmg_tf.errors import UserError
from dmg_tf.progress import Bar
from dmg_tf.quiet import load_tensorflow

DATASETS = ("auto", "folder", *LAYOUTS)


def check_dataset(
    root: str | pathlib.Path,
    dataset: str = "auto",
    fast: bool = False,
    max_examples: int = 3,
) -> dict[str, Any]:
    """Checks a folder of domains.

    Args:
        root: The folder.
        dataset: How to read it: one of `DATASETS`.
        fast: Whether to leave all images closed: structure and lists only.
        max_examples: Examples to give of each kind of problem.

    Returns:
        The report, which JSON can hold: "domains" and "counts" have the
        numbers of images by domain, class and split, "looks" sizes and formats
        (none if `fast`), "problems" all kinds of problems, worst first, and
        "errors", "warnings", "notes" how many kinds of each there are.

    Raises:
        UserError: If there is no such folder, or it can't be read.
    """
    root = pathlib.Path(root)
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise UserError(
            f"{root} {what}; expected a folder of domains, "
            "DIR/<domain>/<class>/<image>"
        )
    dataset = detect_dataset(dataset, str(root))
    problems = Problems(max_examples)
    if dataset in LAYOUTS:
        inventory = scan_lists(root, LAYOUTS[dataset], problems)
    else:
        inventory = scan_folder(root, problems)
    report_classes(inventory, problems, complete=dataset not in LAYOUTS)
    looks = {}
    if not fast:
        looks = _open_all(root, inventory, problems)
    report_others(root, inventory, problems, fast)
    found = problems.as_json()
    return {
        "root": str(root),
        "dataset": dataset,
        "fast": fast,
        "class_names": list(inventory.class_names),
        "splits": list(inventory.splits),
        **_counts(inventory),
        "looks": looks,
        "problems": found,
        **{
            f"{severity}s": sum(p["severity"] == severity for p in found)
            for severity in SEVERITIES
        },
    }


def _open_all(root, inventory, problems) -> dict[str, Any]:
    load_tensorflow()
    from dmg_tf.data.check_contents import (
        looks,
        report_copies,
        report_looks,
        report_unreadable,
    )
    from dmg_tf.data.check_images import examine

    with Bar("reading all images", len(inventory.names), "images") as bar:
        facts = examine(root, inventory.names, bar.advance)
    report_unreadable(root, inventory, facts, problems)
    report_copies(inventory, facts, problems)
    report_looks(inventory, facts, problems)
    return looks(inventory, facts)


def _counts(inventory: Inventory) -> dict[str, Any]:
    images, splits = inventory.images(), inventory.splits
    counts, domains = {}, {}
    for domain_id, domain in enumerate(inventory.domains):
        rows = inventory.counts[domain_id].tolist()
        counts[domain] = {
            name: {
                "images": int(images[domain_id, label]),
                **dict(zip(splits, rows[label], strict=True)),
            }
            for label, name in enumerate(inventory.class_names)
        }
        totals = inventory.counts[domain_id].sum(axis=0).tolist()
        domains[domain] = {
            "images": int(images[domain_id].sum()),
            **dict(zip(splits, totals, strict=True)),
        }
    return {"domains": domains, "counts": counts}


def make_parser() -> OneLineParser:
    """Returns the parser."""
    parser = OneLineParser(
        prog="python -m dmg_tf.data.check",
        description=__doc__.splitlines()[0],
        epilog="The exit code is 1 when there are errors, 0 when there are "
        "only warnings and notes or nothing, and 2 for wrong usage.",
    )
    parser.add_argument("root", metavar="DIR", help="a folder of domains")
    parser.add_argument(
        "--dataset",
        choices=DATASETS,
        default="auto",
        help="how to read the folder; auto looks for official lists "
        "(default: auto)",
    )
    parser.add_argument(
        "--fast",
        action="store_true",
        help="folders and lists only; leave all images closed",
    )
    parser.add_argument(
        "--examples",
        type=_count,
        default=3,
        metavar="N",
        help="examples of each kind of problem (default: 3)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON instead of tables"
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return int(text)


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    args = make_parser().parse_args(argv)
    try:
        report = check_dataset(
            args.root, args.dataset, args.fast, args.examples
        )
        _write(report, args.json)
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    return 1 if report["errors"] else 0


def _write(report, as_json: bool) -> None:
    try:
        if as_json:
            print(json.dumps(report, indent=2))
        else:
            print_report(report)
        sys.stdout.flush()
    except OSError as error:
        # Python flushes once more at the end, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise UserError(f"cannot write the report: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
