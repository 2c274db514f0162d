"""Requests that TensorFlow Serving answers by itself before it takes others.

The first request of a signature is slow: the server optimises its graph then.
With `assets.extra/tf_serving_warmup_requests` in a SavedModel it is done while
the model loads. The file is a TFRecord of `PredictionLog` messages; they are
written here by the rules of protocol buffers, as their Python package
(tensorflow-serving-api) is no part of an installation.
"""

import io
import pathlib

import numpy as np
import PIL.Image
import tensorflow as tf

FOLDER, FILE = "assets.extra", "tf_serving_warmup_requests"
# Numbers of fields: of PredictionLog, PredictLog, PredictRequest and its map of
# inputs, ModelSpec. They never change.
_PREDICT_LOG, _REQUEST = 6, 1
_SPEC, _INPUTS, _KEY, _VALUE = 1, 2, 1, 2
_NAME, _SIGNATURE = 1, 3


def write_warmup(folder: pathlib.Path, name: str, image_size: int) -> None:
    """Writes the file into a SavedModel: one grey image a signature.

    The signatures are `serving_default`, `serving_float` and `serving_bytes`,
    which every export has.

    Args:
        folder: The SavedModel's.
        name: What to call the model; the server does not look at it.
        image_size: Side of the image, pixels.
    """
    grey = np.full([1, image_size, image_size, 3], 127, np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(grey[0]).save(file, "PNG")
    requests = {
        "serving_default": ("images", grey),
        "serving_float": ("images", grey.astype(np.float32)),
        "serving_bytes": ("image_bytes", np.array([file.getvalue()], object)),
    }
    path = folder / FOLDER / FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, (key, value) in requests.items():
            tensor = tf.make_tensor_proto(value).SerializeToString()
            request = _field(
                _SPEC,
                _field(_NAME, name.encode())
                + _field(_SIGNATURE, signature.encode()),
            ) + _field(
                _INPUTS, _field(_KEY, key.encode()) + _field(_VALUE, tensor)
            )
            writer.write(_field(_PREDICT_LOG, _field(_REQUEST, request)))


def _field(number: int, contents: bytes) -> bytes:
    """Returns a field of bytes, a text or a message."""
    return _varint(number << 3 | 2) + _varint(len(contents)) + contents


def _varint(value: int) -> bytes:
    """Returns a number in groups of 7 bits, the lowest first."""
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
