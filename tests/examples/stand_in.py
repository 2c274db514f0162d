"""A stand-in for TensorFlow Serving: its two protocols, on a loaded SavedModel.

It reads and writes messages by the rules of the server's REST and gRPC
interfaces (`json_tensor.cc` and `predict_util.cc` of tensorflow/serving), as
strictly as that does, and runs the signature that is asked for.
"""

import base64
import concurrent.futures
import contextlib
import http.server
import json
import re
import threading

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

NAME = "dmg"


class Refused(Exception):
    """A request that the server answers with InvalidArgument."""


class Served:
    """A SavedModel as the server sees it: signatures of tensors."""

    def __init__(self, folder):
        self._loaded = tf.saved_model.load(str(folder))
        self.signatures = self._loaded.signatures

    def specs(self, signature):
        if signature not in self.signatures:
            raise Refused(f'Serving signature name: "{signature}" not found')
        return self.signatures[signature].structured_input_signature[1]

    def run(self, signature, inputs):
        specs = self.specs(signature)
        if set(inputs) != set(specs):
            raise Refused("input size does not match signature")
        for name, value in inputs.items():
            if tf.as_dtype(value.dtype) != specs[name].dtype:
                raise Refused(f"{name} is {value.dtype}: not as signed")
            if not specs[name].shape.is_compatible_with(value.shape):
                raise Refused(f"{name} has shape {value.shape}: not as signed")
        try:
            found = self.signatures[signature](**inputs)
        except tf.errors.InvalidArgumentError as error:
            raise Refused(error.message) from error
        return {name: value.numpy() for name, value in found.items()}


# === REST ===


def tensor_of(value, dtype):
    """Reads one tensor from JSON."""
    if isinstance(value, list):
        parts = [tensor_of(part, dtype) for part in value]
        if len({part.shape for part in parts}) > 1:
            raise Refused("Encountered list at unexpected size")
        return np.stack(parts)
    if dtype == tf.string:
        if isinstance(value, dict) and list(value) == ["b64"]:
            value = base64.b64decode(value["b64"], validate=True)
        elif isinstance(value, str):
            value = value.encode()
        else:
            raise Refused("is not of expected type: string")
        return np.array(value, object)
    if type(value) is not int and not (
        dtype.is_floating and type(value) is float
    ):
        raise Refused(f"JSON Value: {value} is not of expected type: {dtype}")
    return np.array(value, dtype.as_numpy_dtype)


def answer_rest(served, text):
    """JSON in, JSON out, in row format."""
    request = json.loads(text)
    signature = request.get("signature_name", "serving_default")
    specs = served.specs(signature)
    if not specs:
        raise Refused(f"Failed to get input map for signature: {signature}")
    instances = request["instances"]
    for instance in instances:
        if set(instance) != set(specs):
            raise Refused(f"keys must be equal to: {','.join(specs)}")
    inputs = {
        name: tensor_of([each[name] for each in instances], spec.dtype)
        for name, spec in specs.items()
    }
    found = served.run(signature, inputs)
    rows = [
        {name: value[i].tolist() for name, value in found.items()}
        for i in range(len(instances))
    ]
    return json.dumps({"predictions": rows})


@contextlib.contextmanager
def rest_server(served):
    """Serves until the block ends; gives the URL and what was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802
            text = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(json.loads(text))
            path = re.fullmatch(r"/v1/models/([^/:]+):predict", self.path)
            code = 200
            try:
                if not path or path[1] != NAME:
                    code = 404
                    raise Refused("Servable not found for request")
                body = answer_rest(served, text)
            except Refused as error:
                code = max(code, 400)
                body = json.dumps({"error": str(error)})
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


# === gRPC ===


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The one call that is used."""

    def __init__(self, served):
        self.served = served

    def Predict(self, request, context):  # noqa: N802
        spec = request.model_spec
        if spec.name != NAME:
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found")
        signature = spec.signature_name or "serving_default"
        inputs = {
            name: tf.make_ndarray(proto)
            for name, proto in request.inputs.items()
        }
        try:
            found = self.served.run(signature, inputs)
        except Refused as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse()
        response.model_spec.CopyFrom(spec)
        for name, value in found.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response


@contextlib.contextmanager
def grpc_server(served):
    """Serves until the block ends; gives the address."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Service(served), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()
