"""Predicts images with a trained model and writes a table.

python -m dmg_tf.predict RUN_OR_SAVED_MODEL IMAGES... --csv out.csv
"""

import argparse
import contextlib
import os
import sys

# TensorFlow is loaded by the functions that need it: after the arguments of the
# command line were checked.
from dmg_tf.config import OneLineParser
from dmg_tf.errors import UserError
from dmg_tf.predict_inputs import STDIN, ImagePaths, collect_paths
from dmg_tf.predict_model import check_model, load_predictor
from dmg_tf.predict_table import (
    Tally,
    check_csv,
    column_names,
    counted,
    open_table,
    table_rows,
)
from dmg_tf.quiet import load_tensorflow

BATCH_SIZE = 64

_COLUMNS = """\
columns, a row an image:
  path         as it was given
  class, probability
               the prediction, and how likely the model holds it; class_2,
               probability_2 and so on with --top-k
  mask/DOMAIN/class, mask/DOMAIN/probability
               the same under the mask of each source domain alone; head/... of
               a multi-headed model. Other models (aggregate, exported with
               --fold) have neither these nor the next two
  votes        share of the source domains that predict the class: 0.67 if two
               of three do
  agreement    how much of their probability the source domains place alike, 1
               (all the same) to 0 (each is certain of another class): 1 less
               the total variation distance, mean over pairs of domains. It is
               below 1 also where all predict the class. Low values are the
               model's own warning that an image is unlike those it was trained
               on; what is low, images of the sources show
  error        why the file could not be read; all but path is empty then

The file appears when all of it is written. The exit code is 0 also if some
images could not be read, and 2 for a mistake in what was given."""


def predict_table(
    model_dir: str,
    paths: ImagePaths,
    csv_file: str | None = None,
    *,
    prediction_rule: str | None = None,
    batch_size: int = BATCH_SIZE,
    top_k: int = 1,
) -> str:
    """Predicts images and writes a row for each.

    Memory does not grow with the number of images.

    Args:
        model_dir: A run folder, or what `dmg_tf.export` wrote.
        paths: The images, from `collect_paths`.
        csv_file: The file to write, which appears whole or not at all; None
            for standard output.
        prediction_rule: See `load_predictor`.
        batch_size: Images a step.
        top_k: Number of classes in a row.

    Returns:
        A line on what was done.

    Raises:
        UserError: If there is no such model, rule or number of classes, or the
            table can't be written.
    """
    from dmg_tf.predict_stream import predict_stream
    from dmg_tf.progress import Bar

    # Rows in a terminal are progress enough, and the bar would move over them.
    in_sight = csv_file is None and sys.stdout.isatty()
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(open_table(csv_file))
        predictor = load_predictor(model_dir, prediction_rule)
        facts = predictor.facts
        if top_k > len(facts.class_names):
            raise UserError(
                f"--top-k {top_k} is more than the model's "
                f"{len(facts.class_names)} classes"
            )
        tally = Tally(facts)
        table.write([column_names(facts, top_k)])
        bar = None
        if not in_sight:
            bar = stack.enter_context(Bar("predicting", len(paths), "images"))
        for batch in predict_stream(predictor, paths, batch_size, top_k):
            table.write(table_rows(facts, *batch, top_k))
            tally.add(*batch[1:])
            if bar:
                bar.advance(len(batch[0]))
    return f"{csv_file}: {tally}" if csv_file else str(tally)


def make_parser() -> OneLineParser:
    """Returns the parser."""
    parser = OneLineParser(
        prog="python -m dmg_tf.predict",
        description=__doc__.splitlines()[0],
        epilog=_COLUMNS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model",
        metavar="RUN_OR_SAVED_MODEL",
        help="a run folder, or a folder that dmg_tf.export wrote",
    )
    parser.add_argument(
        "images",
        metavar="IMAGES",
        nargs="*",
        help="image files, folders (all images below), patterns in quotes such "
        "as 'photos/**/*.jpg', or - for a list of paths on standard input",
    )
    parser.add_argument(
        "--list",
        metavar="FILE",
        action="append",
        default=[],
        help="a file with the path of an image a line; may be repeated",
    )
    parser.add_argument(
        "--csv",
        metavar="FILE",
        help="the table to write (default: standard output)",
    )
    parser.add_argument(
        "--prediction-rule",
        metavar="RULE",
        help="pred_ens, mask_ens, mask/<domain>, head/<domain> (default: "
        "pred_ens; of an exported model, the rule it was exported with)",
    )
    parser.add_argument(
        "--top-k",
        metavar="K",
        type=_positive,
        default=1,
        help="the K likeliest classes (default: 1)",
    )
    parser.add_argument(
        "--batch-size",
        metavar="N",
        type=_positive,
        default=BATCH_SIZE,
        help=f"images a step (default: {BATCH_SIZE})",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text!r}")
    return number


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    parser = make_parser()
    args = parser.parse_intermixed_args(argv)
    if not args.images and not args.list:
        parser.error("no images: give IMAGES, --list FILE, or -")
    csv_file = None if args.csv == STDIN else args.csv
    try:
        if csv_file is not None:
            check_csv(csv_file)
        check_model(args.model)
        paths = collect_paths(args.images, args.list)
        # TensorFlow's nameless line on each broken image says less than its
        # row does.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        load_tensorflow()
        from dmg_tf.progress import print_error

        if paths.left_out:
            print_error(
                "left out, without the suffix of an image: "
                f"{counted(paths.left_out, 'file')}"
            )
        done = predict_table(
            args.model,
            paths,
            csv_file,
            prediction_rule=args.prediction_rule,
            batch_size=args.batch_size,
            top_k=args.top_k,
        )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        left = f"; {csv_file} was not written" if csv_file else ""
        print(f"interrupted{left}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # As of `| head`. What is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    print_error(done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
