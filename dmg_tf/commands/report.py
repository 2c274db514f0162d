"""Writes report.html of a finished run anew.

dmg-tf report RUN_DIR [--data DIR] [--score]
"""

import dataclasses
import pathlib

from dmg_tf.config import RunConfig
from dmg_tf.console.parser import OneLineParser, program
from dmg_tf.console.printable import say
from dmg_tf.console.quiet import load_tensorflow
from dmg_tf.data import check_data
from dmg_tf.errors import UserError
from dmg_tf.folders.checksums import read_json
from dmg_tf.runs.folder import CONFIG


def make_parser() -> OneLineParser:
    parser = OneLineParser(
        description="Writes report.html of a finished run anew.",
    )
    parser.add_argument("run_dir", metavar="RUN_DIR", help="a run folder")
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="where the run's images are now (default: where they were)",
    )
    parser.add_argument(
        "--score",
        action="store_true",
        help="predict all images again first, for predictions.csv and "
        "maps.json; accuracies stay those of results.json",
    )
    return parser


@program()
def main(argv: list[str] | None = None) -> int:
    args = make_parser().parse_args(argv)
    # The page needs none of it, and the run's method may not be installed.
    try:
        read_json(pathlib.Path(args.run_dir) / CONFIG)
    except OSError as error:
        raise UserError(
            f"{args.run_dir} is not a run folder: there is no {CONFIG}"
        ) from error
    if args.data:
        check_data(args.data, "--data ")
    if args.score:
        _score_again(args)
    from dmg_tf.report.run_page import write_run_report
    from dmg_tf.runs.writing import writing_into

    with writing_into(args.run_dir):
        path = write_run_report(args.run_dir, args.data)
    say(f"{path}: {path.stat().st_size / 1e3:.0f} kB")
    return 0


def _score_again(args) -> None:
    config = RunConfig.read(args.run_dir)
    load_tensorflow()
    from dmg_tf.report.run_page import score_again

    if args.data:
        config = dataclasses.replace(config, data=args.data)
    score_again(args.run_dir, config)
