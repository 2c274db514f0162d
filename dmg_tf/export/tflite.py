"""LiteRT (TensorFlow Lite): one small file for phones and boards."""

import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from dmg_tf.console.bar import Bar
from dmg_tf.console.quiet import quiet_libraries
from dmg_tf.errors import UserError, first_line
from dmg_tf.export.single_file import FileFormat, export_file


def export_tflite(
    model, results: dict[str, Any], out: str | pathlib.Path, **options
) -> dict[str, Any]:
    """Writes OUT and, with the metadata, OUT.json.

    One image a call: input and outputs have fixed shapes, which is what
    accelerators take. With "int8" weights and activations are integers; the
    input is the same uint8 image, `logits` and `probabilities` are uint8 with
    a scale and a zero point of their own, and `class_id` is left to the caller:
    there is no integer kernel that converters would take for it.

    Args:
        model: A built `DomainModel`.
        results: As for `export_saved_model`.
        out: The file, x.tflite.
        **options: As for `export_file`.

    Returns:
        The metadata.

    Raises:
        UserError: As `export_file`.
    """
    return export_file(TFLITE, model, results, out, **options)


def convert(module: tf.Module, precision: str, calibration=None) -> bytes:
    """Returns the file's contents.

    Args:
        module: Has the tf.function `predict` of one image.
        precision: "float32", "float16" or "int8".
        calibration: A `CalibrationSample`, for "int8".

    Raises:
        UserError: If the converter can't, or a calibration image can't be read.
    """
    function = module.predict.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function], module
    )
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        size = int(function.inputs[0].shape[1])
        converter.representative_dataset = lambda: _samples(calibration, size)
        # Without this, what has no integer kernel would stay in float.
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        ]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
    try:
        with quiet_libraries():
            return converter.convert()
    except UserError:
        raise
    except Exception as error:  # the converter raises many kinds
        raise UserError(
            f"TensorFlow's converter cannot make {precision} TFLite of this "
            f"model: {first_line(error)}"
        ) from error


def _samples(calibration, size):
    with Bar("calibrating", len(calibration.examples), "images") as bar:
        for index, image in enumerate(calibration.images(size)):
            image = image.astype(np.float32)
            if index == 0:
                # The range of the input is taken from what is seen, and must
                # be that of uint8: a step of the integer is one of the pixel.
                image[0, 0, 0], image[0, -1, -1] = 0.0, 255.0
            yield [image]
            bar.advance()


def predict(path: pathlib.Path, images: np.ndarray) -> np.ndarray:
    """Runs a file with TensorFlow's interpreter.

    Args:
        path: A file that `export_tflite` wrote.
        images: uint8 [N, S, S, 3].

    Returns:
        Logits float32 [N, C]; integers are scaled back.

    Raises:
        UserError: If the interpreter can't run it, or its input is no image.
    """
    try:
        with quiet_libraries():
            # LiteRT's own package has the same one and is what to deploy with;
            # TensorFlow's says so at each call and is at hand.
            interpreter = tf.lite.Interpreter(str(path))
            runner = interpreter.get_signature_runner()
            answers = [runner(images=image[np.newaxis]) for image in images]
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the interpreter cannot run the file: {str(error).splitlines()[0]}"
        ) from error
    scale, zero = runner.get_input_details()["images"]["quantization"]
    if scale and (abs(scale - 1) > 1e-6 or zero):
        raise UserError(
            f"the converter scales the input by {scale:g} from {zero}, so that "
            "it is no uint8 image; export it in float32"
        )
    logits = np.concatenate([a["logits"] for a in answers]).astype(np.float32)
    scale, zero = runner.get_output_details()["logits"]["quantization"]
    if scale:
        logits = (logits - zero) * scale
    return logits


TFLITE = FileFormat("tflite", batch=1, convert=convert, predict=predict)
