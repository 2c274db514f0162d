"""Writes a trained model for use without this package.

dmg-tf export RUN_DIR OUT [--format onnx] [--precision float16]
"""

import pathlib

from dmg_tf.console.parser import OneLineParser, program
from dmg_tf.console.printable import say
from dmg_tf.console.quiet import load_tensorflow
from dmg_tf.errors import UserError
from dmg_tf.export.metadata import PRECISIONS
from dmg_tf.export.request import CALIBRATION_IMAGES, FORMATS, check_request
from dmg_tf.export.run import export_run


def make_parser() -> OneLineParser:
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", metavar="RUN_DIR", help="a run folder")
    parser.add_argument(
        "out",
        metavar="OUT",
        help="the folder to write, or the file with tflite and onnx",
    )
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="saved_model",
        help="what to write (default: saved_model)",
    )
    parser.add_argument(
        "--fold",
        action="store_true",
        help="write the plain network that predicts the same, if the method "
        "has one: of masks their mean, multiplied into the weights behind",
    )
    parser.add_argument(
        "--precision",
        choices=FORMATS["tflite"].precisions,
        default=PRECISIONS[0],
        help="how weights are stored: float16 takes half the space, int8 (with "
        "tflite) a quarter, and computes in integers (default: float32)",
    )
    parser.add_argument(
        "--prediction-rule",
        metavar="RULE",
        help="how it predicts; a name that the method does not know lists "
        "those it does (default: the method's first, and with --fold that of "
        "the plain network)",
    )
    parser.add_argument(
        "--calibration-images",
        type=int,
        metavar="N",
        help="for int8: source training images that set the ranges "
        f"(default: {CALIBRATION_IMAGES})",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="for int8: where the run's images are now (default: where they "
        "were)",
    )
    return parser


@program()
def main(argv: list[str] | None = None) -> int:
    args = make_parser().parse_args(argv)
    _check_calibration(args)
    check_request(args.format, pathlib.Path(args.out), args.precision)
    load_tensorflow()
    metadata = export_run(
        args.run_dir,
        args.out,
        format=args.format,
        calibration_images=args.calibration_images or CALIBRATION_IMAGES,
        data=args.data,
        prediction_rule=args.prediction_rule,
        fold=args.fold,
        precision=args.precision,
    )
    say(_summary(pathlib.Path(args.out), metadata))
    return 0


def _check_calibration(args) -> None:
    count = args.calibration_images
    if count is not None and count < 1:
        raise UserError(f"--calibration-images must be at least 1, got {count}")
    if args.precision != "int8":
        for name in ("calibration_images", "data"):
            if getattr(args, name) is not None:
                raise UserError(
                    f"--{name.replace('_', '-')} is for --precision int8"
                )


def _summary(out, metadata) -> str:
    files = [path for path in (out, *out.rglob("*")) if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    text = (
        f"{out}: {size / 1e6:.1f} MB, {metadata['precision']}, predicts "
        f"by {metadata['prediction_rule']}"
    )
    if "comparison" in metadata:
        found = metadata["comparison"]
        text += (
            f"\ncompared with the Keras model on {found['images']} "
            f"{found['of']}: logits differ by up to {found['logits']:.2g} "
            f"(the largest is {found['largest_logit']:.2g}), probabilities by "
            f"{found['probabilities']:.2g}; same class in "
            f"{found['same_class']} of {found['images']}"
        )
    return text
