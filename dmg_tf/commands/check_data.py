"""Says what a dataset holds, and all that is wrong with it, before training.

dmg-tf check DIR [--dataset NAME] [--fast] [--json]
"""

import argparse
import json
import os
import sys

from dmg_tf.console.parser import OneLineParser, program
from dmg_tf.data import readable_as
from dmg_tf.errors import UserError


def make_parser() -> OneLineParser:
    parser = OneLineParser(
        description=__doc__.splitlines()[0],
        epilog="The exit code is 1 when there are errors, 0 when there are "
        "only warnings and notes or nothing, and 2 for wrong usage.",
    )
    parser.add_argument("root", metavar="DIR", help="a folder of domains")
    parser.add_argument(
        "--dataset",
        choices=readable_as(),
        default="auto",
        help="how to read the folder; auto looks for official lists, and for "
        "the domains of datasets that it knows (default: auto)",
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


@program()
def main(argv: list[str] | None = None) -> int:
    args = make_parser().parse_args(argv)
    # A mistyped flag does not wait for what opens images.
    from dmg_tf.data.check.dataset import check_dataset

    report = check_dataset(args.root, args.dataset, args.fast, args.examples)
    _write(report, args.json)
    return 1 if report["errors"] else 0


def _write(report, as_json: bool) -> None:
    try:
        if as_json:
            print(json.dumps(report, indent=2))
        else:
            from dmg_tf.data.check.text import print_report

            print_report(report)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # as of `| head`, which is no error
    except OSError as error:
        # Python flushes once more at the end, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise UserError(f"cannot write the report: {error.strerror}") from error
