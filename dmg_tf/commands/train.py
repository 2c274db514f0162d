"""Trains on the source domains, reports in and out of domain.

dmg-tf train --target sketch --backbone resnet18
dmg-tf train --data DIR --target DOMAIN
"""

import sys
from collections.abc import Sequence

from dmg_tf.console.parser import OneLineParser, program
from dmg_tf.console.quiet import load_tensorflow
from dmg_tf.flags import (
    add_config_file,
    add_config_flags,
    check_domains,
    config_from_args,
    method_of,
)


def make_parser(argv: Sequence[str] = ()) -> OneLineParser:
    parser = OneLineParser(
        description=__doc__.splitlines()[0],
        usage="%(prog)s --target DOMAIN [--data DIR] [--method NAME] ...",
    )
    add_config_flags(parser, method_of(argv))
    add_config_file(parser, argv)
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in the output folder, with the same flags",
    )
    parser.add_argument(
        "--export",
        action="store_true",
        help="write saved_model/ into the run folder, for TensorFlow alone",
    )
    parser.add_argument(
        "--callback",
        action="append",
        default=[],
        metavar="MODULE:FACTORY",
        help="a function that returns a Keras callback, e.g. for W&B or MLflow "
        "(docs/using.md); may be repeated",
    )
    return parser


@program("--resume goes on with it")
def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    args = make_parser(argv).parse_args(argv)
    config = config_from_args(args)
    check_domains(config)
    load_tensorflow()
    from dmg_tf.experiment import run_training
    from dmg_tf.report.text import show_results
    from dmg_tf.training.callbacks import load_callbacks

    result = run_training(
        config, resume=args.resume, callbacks=load_callbacks(args.callback)
    )
    if not result.is_chief:
        return 0  # the chief tells it all
    if args.export:
        from dmg_tf.export.run import export_run

        saved_model = result.run_dir / "saved_model"
        # A run that went on has another model than it had.
        export_run(result.run_dir, saved_model, replace=True)
    show_results(
        result.results, result.run_dir, f"All of it is in {result.run_dir}"
    )
    return 0
