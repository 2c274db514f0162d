"""Trains on the source domains, reports in and out of domain.

python train.py --target sketch --backbone resnet18
python train.py --data DIR --target DOMAIN
"""

import sys

DMG_TF_LAZY = True  # arguments are checked before TensorFlow is loaded

from dmg_tf.config import (  # noqa: E402
    OneLineParser,
    add_config_flags,
    config_from_args,
)
from dmg_tf.errors import UserError  # noqa: E402
from dmg_tf.quiet import load_tensorflow  # noqa: E402


def make_parser() -> OneLineParser:
    """Returns the parser: the config's fields, --resume and --export."""
    parser = OneLineParser(description=__doc__.splitlines()[0])
    add_config_flags(parser)
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


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    args = make_parser().parse_args(argv)
    try:
        config = config_from_args(args)
        load_tensorflow()
        from dmg_tf.report import results_text
        from dmg_tf.training.run import run_training

        result = run_training(config, resume=args.resume)
        if not result.is_chief:
            return 0  # the chief tells it all
        if args.export:
            from dmg_tf.export import export_run

            saved_model = result.run_dir / "saved_model"
            # A run that went on has another model than it had.
            export_run(result.run_dir, saved_model, replace=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; --resume goes on with it", file=sys.stderr)
        return 130
    print(results_text(result.results))
    print(f"\nAll of it is in {result.run_dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
