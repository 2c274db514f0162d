"""What the formats of a single file share: one function, checked when written.

The file's function takes `images`, uint8 [B, S, S, 3] in [0, 255] at the
model's size S, and returns `logits`, `probabilities` and `class_id`, as the
SavedModel's signatures do. Normalisation is inside, resizing is not: the
converters know no antialiased resizing.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from dmg_tf.data.images.transforms import normalize
from dmg_tf.errors import UserError
from dmg_tf.evaluation.probabilities import probabilities
from dmg_tf.export.metadata import checked_rule, describe
from dmg_tf.export.network import stored_network
from dmg_tf.export.run import check_request
from dmg_tf.export.signatures import answer
from dmg_tf.files import replacing, write_text

# The largest difference of a logit that a file may have, as a share of the
# largest logit. Rounding alone stays far below: 1e-5, 5e-3 and, of 8 bits, 0.2.
TOLERANCE = {"float32": 1e-3, "float16": 3e-2, "int8": 0.5}


@dataclasses.dataclass(frozen=True)
class FileFormat:
    """How a file is made and run.

    Attributes:
        name: As in `export.FORMATS`.
        batch: Images a call; None for any number.
        convert: (module with the tf.function `predict`, precision, calibration)
            -> the file's contents.
        predict: (file, images uint8 [N, S, S, 3]) -> logits float32 [N, C], by
            the format's own runtime.
        embed: (contents, JSON text) -> contents that hold the text. None
            writes the text beside, to OUT.json.
    """

    name: str
    batch: int | None
    convert: Callable
    predict: Callable
    embed: Callable | None = None


def export_file(
    file_format: FileFormat,
    model,
    results: dict[str, Any],
    out: str | pathlib.Path,
    *,
    prediction_rule: str | None = None,
    fold: bool = False,
    precision: str = "float32",
    replace: bool = False,
    calibration=None,
) -> dict[str, Any]:
    """Converts a model, writes the file, and compares what it predicts.

    Args:
        file_format: What to write.
        model: A built `DomainModel`.
        results: As for `export_saved_model`.
        out: The file, which appears whole and checked or not at all.
        prediction_rule: How it predicts; None for the method's first rule.
        fold: As for `export_saved_model`.
        precision: One of the format's.
        replace: Whether a file that is there already may be replaced.
        calibration: A `CalibrationSample`, for "int8".

    Returns:
        The metadata. `comparison` says how far the file's outputs are from the
        Keras model's.

    Raises:
        UserError: As `export_saved_model`, and if the model can't be converted
            or the file predicts something else.
    """
    out = pathlib.Path(out)
    check_request(file_format.name, out, precision, replace)
    if precision == "int8" and calibration is None:
        raise ValueError("int8 needs `calibration`")
    network = stored_network(model, fold)
    rule = checked_rule(model, network.rules, prediction_rule, fold)
    metadata = describe(model, results, [rule], fold=fold, precision=precision)
    metadata["format"] = file_format.name
    if calibration is None:
        images, of = generated_images(model.image_size), "generated images"
    else:
        images = calibration.compared_images(model.image_size)
        of = "source images"
        metadata["calibration_images"] = len(calibration.examples)
    # Quantisation wants the input as a float and makes it an integer itself.
    # It would also turn the logits back to floats for the class.
    dtype = tf.float32 if precision == "int8" else tf.uint8
    module = image_module(model, network, rule, file_format.batch, dtype)
    contents = file_format.convert(module, precision, calibration)
    with replacing(out) as temporary:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(contents)
        returned = file_format.predict(temporary, images)
        pixels = normalize(images, model.mean, model.std)
        expected = model.logits(pixels, rule.name).numpy()
        metadata["comparison"] = {
            "of": of,
            **compare(
                returned,
                expected,
                TOLERANCE[precision],
                model.calibration_of(rule.name).temperature,
            ),
        }
        text = json.dumps(metadata, indent=2) + "\n"
        if file_format.embed:
            temporary.write_bytes(file_format.embed(contents, text))
        else:
            write_text(out.with_name(out.name + ".json"), text)
    return metadata


def image_module(model, network, rule, batch, dtype) -> tf.Module:
    """Returns a module whose `predict` takes images of the model's size.

    Args:
        model: A built `DomainModel`; says how images are prepared.
        network: Its `StoredNetwork`.
        rule: The `PredictionRule` that it predicts by.
        batch: Images a call; None for any number.
        dtype: Of the images, in [0, 255]; tf.float32 leaves out `class_id`.
    """
    size = model.image_size
    images = tf.TensorSpec([batch, size, size, 3], dtype, name="images")

    def predict(images):
        pixels = normalize(images, model.mean, model.std)
        logits = network.logits(pixels, [rule.name])[rule.name]
        own = model.calibration_of(rule.name)
        predictions = answer(logits, own.temperature)
        if dtype != tf.uint8:
            del predictions["class_id"]
        return predictions

    module = tf.Module(name="dmg_tf")
    module.stored = network.variables
    module.predict = tf.function(predict, input_signature=[images])
    return module


def generated_images(size: int) -> np.ndarray:
    """Returns uint8 [4, size, size, 3]: noise, coarse and fine."""
    rng = np.random.default_rng(0)
    images = [
        tf.image.resize(rng.uniform(0, 255, (1, s, s, 3)), [size, size])
        for s in (2, 5, 16, size)
    ]
    return tf.cast(tf.concat(images, axis=0), tf.uint8).numpy()


def compare(
    returned, expected, tolerance: float, temperature: float = 1.0
) -> dict[str, Any]:
    """Measures how far logits [N, C] are from those expected.

    Args:
        returned: What the file returned.
        expected: The Keras model's logits.
        tolerance: Largest difference, as a share of the largest logit.
        temperature: That of their probabilities.

    Raises:
        UserError: If they are further apart.
    """
    largest = float(np.abs(expected).max())
    logits = float(np.abs(returned - expected).max())
    if not logits <= tolerance * largest:  # not a number is wrong too
        raise UserError(
            f"the file's logits differ from the Keras model's by {logits:.2g} "
            f"where the largest is {largest:.2g}, more than "
            f"{tolerance:g} of it; nothing was written: export it in another "
            "--precision or --format"
        )
    shares = [
        probabilities(tf.constant(x), temperature).numpy()
        for x in (returned, expected)
    ]
    return {
        "images": len(expected),
        "largest_logit": largest,
        "logits": logits,
        "probabilities": float(np.abs(shares[0] - shares[1]).max()),
        "same_class": int(np.sum(returned.argmax(-1) == expected.argmax(-1))),
    }
