"""Writes a trained model for use without this package.

python -m dmg_tf.export RUN_DIR OUT [--format onnx] [--precision float16]
"""

import dataclasses
import importlib
import importlib.util
import pathlib
import sys
from typing import Any

# TensorFlow is loaded by the functions that need it: after the arguments of the
# command line were checked.
from dmg_tf.config import OneLineParser
from dmg_tf.errors import UserError
from dmg_tf.export_metadata import PRECISIONS
from dmg_tf.export_saved_model import check_out_dir, export_saved_model
from dmg_tf.quiet import load_tensorflow
from dmg_tf.registry import unknown_name

__all__ = ["FORMATS", "check_request", "export_run", "export_saved_model"]

CALIBRATION_IMAGES = 200


@dataclasses.dataclass(frozen=True)
class Format:
    """A format that a model can be exported to.

    Attributes:
        place: "module:function", imported on first use. The function takes what
            `export_saved_model` takes, and with "int8" `calibration` besides.
        suffix: What the name of its file ends in; None for a folder.
        precisions: How weights can be stored.
        needs: Modules of `requirements-extra.txt` that it is written with.
    """

    place: str
    suffix: str | None = None
    precisions: tuple[str, ...] = PRECISIONS
    needs: tuple[str, ...] = ()

    def load(self):
        """Returns the function that writes it."""
        module, name = self.place.split(":")
        return getattr(importlib.import_module(module), name)


FORMATS = {
    "saved_model": Format("dmg_tf.export_saved_model:export_saved_model"),
    "tflite": Format(
        "dmg_tf.export_tflite:export_tflite",
        suffix=".tflite",
        precisions=(*PRECISIONS, "int8"),
    ),
    "onnx": Format(
        "dmg_tf.export_onnx:export_onnx",
        suffix=".onnx",
        needs=("tf2onnx", "onnxruntime"),
    ),
}


def check_request(
    format: str, out: pathlib.Path, precision: str, replace: bool = False
) -> None:
    """Checks what can be checked before the model is loaded.

    Raises:
        UserError: If a name is unknown, the format can't be stored so or needs
            a library that is missing, or OUT can't be written.
    """
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    chosen = FORMATS[format]
    every = [p for f in FORMATS.values() for p in f.precisions]
    if precision not in every:
        raise unknown_name("precision", precision, dict.fromkeys(every))
    if precision not in chosen.precisions:
        able = [n for n, f in FORMATS.items() if precision in f.precisions]
        raise UserError(
            f"--format {format} has no --precision {precision}; "
            f"--format {' or '.join(able)} has"
        )
    missing = [n for n in chosen.needs if importlib.util.find_spec(n) is None]
    if missing:
        raise UserError(
            f"--format {format} needs {' and '.join(missing)}, not installed; "
            "pip install -r requirements-extra.txt"
        )
    if chosen.suffix is None:
        check_out_dir(out, replace)
    elif out.suffix != chosen.suffix:
        raise UserError(
            f"--format {format} writes a file; give OUT a name that ends in "
            f"{chosen.suffix}, got {out}"
        )
    elif out.exists() and (out.is_dir() or not replace):
        raise UserError(f"{out} is there already; give another name")


def export_run(
    run_dir: str | pathlib.Path,
    out: str | pathlib.Path,
    *,
    format: str = "saved_model",
    calibration_images: int = CALIBRATION_IMAGES,
    data: str | None = None,
    **options,
) -> dict[str, Any]:
    """Exports the selected model of a run folder.

    It computes in float32, whatever precision it was trained in: its weights
    are float32, and servers' processors are slow in 16 bits.

    Args:
        run_dir: A finished run.
        out: The folder or file to write; see the format's function.
        format: Name in `FORMATS`.
        calibration_images: For "int8": how many of the run's own source
            training images set the ranges.
        data: For "int8": where these images are now; None for where the run
            found them.
        **options: As for `export_saved_model`.

    Returns:
        The metadata.

    Raises:
        UserError: If the run is not finished, its images are gone, and as
            `check_request` and the format's function.
    """
    from dmg_tf.training.run_folder import load_run_model, read_results
    from dmg_tf.training.scoring import dtype_policy

    precision = options.get("precision", PRECISIONS[0])
    check_request(
        format, pathlib.Path(out), precision, options.get("replace", False)
    )
    results = read_results(run_dir)
    with dtype_policy("float32"):
        if precision == "int8":
            from dmg_tf.export_calibration import calibration_sample

            options["calibration"] = calibration_sample(
                results, calibration_images, data
            )
        model = load_run_model(run_dir)
        # Its layers are new and follow the policy; its own is from the file.
        model.dtype_policy = "float32"
        return FORMATS[format].load()(model, results, out, **options)


def make_parser() -> OneLineParser:
    """Returns the parser."""
    parser = OneLineParser(
        prog="python -m dmg_tf.export", description=__doc__.splitlines()[0]
    )
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
        help="multiply the mean mask into the weights behind it (Mask-Ens at "
        "the cost of one plain network)",
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
        help="how it predicts: pred_ens, mask_ens, mask/<domain>, "
        "head/<domain> (default: pred_ens, and mask_ens with --fold)",
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


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    args = make_parser().parse_args(argv)
    try:
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
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(_summary(pathlib.Path(args.out), metadata))
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


if __name__ == "__main__":
    sys.exit(main())
