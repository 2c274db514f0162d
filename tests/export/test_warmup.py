"""What TensorFlow Serving warms up with: read by its own messages."""

import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.export.saved_model import export_saved_model
from dmg_tf.export.warmup import FILE, FOLDER
from dmg_tf.folders.checksums import known_checksums
from dmg_tf.predict.predictor import load_predictor
from tests.export.helpers import CLASSES, SIZE, make

prediction_log_pb2 = pytest.importorskip(
    "tensorflow_serving.apis.prediction_log_pb2"
)
pytestmark = pytest.mark.usefixtures("with_stub")


def test_each_request_is_one_that_its_signature_takes(tmp_path):
    out = tmp_path / "1"
    export_saved_model(make("dmg", "stub"), {"class_names": CLASSES}, out)
    records = tf.data.TFRecordDataset(str(out / FOLDER / FILE))
    signatures, served = [], tf.saved_model.load(str(out)).signatures
    for record in records.as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        # Nothing was filed under a field of another meaning.
        assert request.SerializeToString(deterministic=True) in record
        signature = request.model_spec.signature_name
        function = served[signature]
        ((name, spec),) = function.structured_input_signature[1].items()
        value = tf.make_ndarray(request.inputs[name])
        assert list(request.inputs) == [name]
        assert tf.as_dtype(value.dtype) == spec.dtype
        assert spec.shape.is_compatible_with(value.shape)
        answer = function(**{name: tf.constant(value, spec.dtype)})
        assert answer["logits"].shape == (1, len(CLASSES))
        if spec.dtype != tf.string:
            assert value.shape == (1, SIZE, SIZE, 3) and np.all(value == 127)
        signatures.append(signature)
    assert signatures == ["serving_default", "serving_float", "serving_bytes"]
    assert f"{FOLDER}/{FILE}" in known_checksums(out)
    assert load_predictor(out).facts.image_size == SIZE
