"""Trains on the source domains, reports in and out of domain.

python train.py --target sketch --backbone resnet18
python train.py --data DIR --target DOMAIN
"""

import sys

from dmg_tf.config import RunConfig
from dmg_tf.console.parser import OneLineParser, program
from dmg_tf.console.quiet import load_tensorflow
from dmg_tf.flags import add_config_flags, config_from_args, method_of


def make_parser(method: str = RunConfig.method) -> OneLineParser:
    parser = OneLineParser(description=__doc__.splitlines()[0])
    add_config_flags(parser, method)
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
    return parser


@program("--resume goes on with it")
def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    args = make_parser(method_of(argv)).parse_args(argv)
    config = config_from_args(args)
    load_tensorflow()
    from dmg_tf.experiment import run_training
    from dmg_tf.report.text import results_text

    result = run_training(config, resume=args.resume)
    if not result.is_chief:
        return 0  # the chief tells it all
    if args.export:
        from dmg_tf.export.run import export_run

        saved_model = result.run_dir / "saved_model"
        # A run that went on has another model than it had.
        export_run(result.run_dir, saved_model, replace=True)
    print(results_text(result.results))
    print(f"\nAll of it is in {result.run_dir}")
    return 0
