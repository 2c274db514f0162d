"""What can be exported, and whether a request can be met."""

import dataclasses
import importlib.util
import pathlib

from dmg_tf.errors import UserError, missing_extra, unknown_name
from dmg_tf.export.metadata import PRECISIONS
from dmg_tf.export.saved_model import check_out_dir
from dmg_tf.registry import imported

CALIBRATION_IMAGES = 200


@dataclasses.dataclass(frozen=True)
class Format:
    """A format that a model can be exported to.

    Attributes:
        place: "module:function", imported on first use. The function takes what
            `export_saved_model` takes, and with "int8" `calibration` besides.
        suffix: What the name of its file ends in; None for a folder.
        precisions: How weights can be stored.
        extra: The extra of this package that brings what it is written with.
        needs: The modules of it.
    """

    place: str
    suffix: str | None = None
    precisions: tuple[str, ...] = PRECISIONS
    extra: str = ""
    needs: tuple[str, ...] = ()

    def load(self):
        """Returns the function that writes it."""
        return imported(self.place)


FORMATS = {
    "saved_model": Format("dmg_tf.export.saved_model:export_saved_model"),
    "tflite": Format(
        "dmg_tf.export.tflite:export_tflite",
        suffix=".tflite",
        precisions=(*PRECISIONS, "int8"),
    ),
    "onnx": Format(
        "dmg_tf.export.onnx:export_onnx",
        suffix=".onnx",
        extra="onnx",
        needs=("tf2onnx", "onnxruntime"),
    ),
    "hub": Format("dmg_tf.export.hub:export_hub"),
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
        raise missing_extra(
            f"--format {format} needs {' and '.join(missing)}, not installed",
            chosen.extra,
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
