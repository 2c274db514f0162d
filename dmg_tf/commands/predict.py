"""Predicts images with a trained model and writes a table.

dmg-tf predict RUN_OR_SAVED_MODEL IMAGES... --csv out.csv
"""

import argparse
import os

from dmg_tf.console.bar import print_error
from dmg_tf.console.parser import OneLineParser, program
from dmg_tf.console.quiet import load_tensorflow
from dmg_tf.predict.files import BATCH_SIZE, predict_files
from dmg_tf.predict.inputs import STDIN, collect_paths
from dmg_tf.predict.predictor import add_trust, check_model
from dmg_tf.predict.table import check_csv
from dmg_tf.rules import ABSTAIN_RATE, ABSTAIN_RATES

_COLUMNS = """\
columns, a row an image:
  path         as it was given
  class, probability
               the prediction, and how likely the model holds it; class_2,
               probability_2 and so on with --top-k
  PART/DOMAIN/class, PART/DOMAIN/probability
               the same by what each source domain has of its own, such as a
               mask or a head. Models without the like, and those exported with
               --fold, have neither these nor the next two
  votes        share of the source domains that predict the class: 0.67 if two
               of three do
  agreement    how much of their probability the source domains place alike, 1
               (all the same) to 0 (each is certain of another class): 1 less
               the total variation distance, mean over pairs of domains. It is
               below 1 also where all predict the class. Low values are the
               model's own warning that an image is unlike those it was trained
               on; what is low, images of the sources show
  abstain      yes where the model is too unsure to decide; a model that was
               trained on too few validation images does not say
  error        why the file could not be read; all but path is empty then

The file appears when all of it is written. The exit code is 0 also if some
images could not be read, and 2 for a mistake in what was given."""


def make_parser() -> OneLineParser:
    parser = OneLineParser(
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
        help="how it predicts; a name that the model does not know lists those "
        "it does (default: the method's first; of an exported model, the rule "
        "it was exported with)",
    )
    parser.add_argument(
        "--top-k",
        metavar="K",
        type=_positive,
        default=1,
        help="the K likeliest classes (default: 1)",
    )
    parser.add_argument(
        "--abstain-error",
        metavar="RATE",
        type=float,
        choices=ABSTAIN_RATES,
        help="the share of wrong decisions that abstaining is to leave, on the "
        f"sources: {', '.join(map(str, ABSTAIN_RATES))} (default: "
        f"{ABSTAIN_RATE})",
    )
    parser.add_argument(
        "--batch-size",
        metavar="N",
        type=_positive,
        default=BATCH_SIZE,
        help=f"images a step (default: {BATCH_SIZE})",
    )
    add_trust(parser)
    return parser


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text!r}")
    return number


@program()
def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_intermixed_args(argv)
    if not args.images and not args.list:
        parser.error("no images: give IMAGES, --list FILE, or -")
    csv_file = None if args.csv == STDIN else args.csv
    if csv_file is not None:
        check_csv(csv_file)
    check_model(args.model)
    paths = collect_paths(args.images, args.list)
    # TensorFlow's nameless line on each broken image says less than its
    # row does.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    load_tensorflow()
    if paths.left_out:
        print_error(f"left out: {paths.note()}")
    try:
        done = predict_files(
            args.model,
            paths,
            csv_file,
            prediction_rule=args.prediction_rule,
            batch_size=args.batch_size,
            top_k=args.top_k,
            abstain_error=args.abstain_error,
            trust=args.trust,
        )
    except KeyboardInterrupt:
        left = [f"{csv_file} was not written"] if csv_file else []
        raise KeyboardInterrupt(*left) from None
    print_error(done)
    return 0
