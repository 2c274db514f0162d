"""Writes a trained model for use without this package.

dmg-tf export RUN_DIR OUT [--format onnx] [--precision float16]
"""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

# TensorFlow is loaded by the functions that need it: after the arguments of the
# command line were checked.
from dmg_tf.export.metadata import PRECISIONS
from dmg_tf.export.request import CALIBRATION_IMAGES, FORMATS, check_request
from dmg_tf.files import making_folder, remove_leftovers
from dmg_tf.folders.lock import alone_beside


@contextlib.contextmanager
def _alone_at(out: pathlib.Path) -> Iterator[None]:
    """Keeps other exports away, and removes what killed ones left."""
    with (
        making_folder(out.parent),
        alone_beside(out, "give another place to write to"),
    ):
        remove_leftovers(out.parent, (out.name, f"{out.name}.json"))
        yield


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
    from dmg_tf.evaluation.scoring import dtype_policy
    from dmg_tf.runs.folder import load_checked_model, read_results

    precision = options.get("precision", PRECISIONS[0])
    check_request(
        format, pathlib.Path(out), precision, options.get("replace", False)
    )
    results = read_results(run_dir)
    with _alone_at(pathlib.Path(out)), dtype_policy("float32"):
        if precision == "int8":
            from dmg_tf.export.calibration import calibration_sample

            options["calibration"] = calibration_sample(
                results, calibration_images, data, run_dir
            )
        model = load_checked_model(run_dir, results)
        # Its layers are new and follow the policy; its own is from the file.
        model.dtype_policy = "float32"
        return FORMATS[format].load()(model, results, out, **options)
