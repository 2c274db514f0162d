"""Asks TensorFlow Serving for predictions over gRPC.

pip install tensorflow-serving-api; it brings grpcio and TensorFlow along.

python grpc_client.py [--signature NAME] [--domain NAME] IMAGE...
"""

import argparse
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

# signature: {input: dtype}
INPUTS = {
    "serving_default": {"images": tf.uint8},
    "serving_float": {"images": tf.float32},
    "serving_bytes": {"image_bytes": tf.string},
    "known_domain": {"images": tf.uint8, "domain_ids": tf.int32},
    "known_domain_by_name": {"images": tf.uint8, "domains": tf.string},
    "mask_ens": {"images": tf.uint8},
    "per_mask": {"images": tf.uint8},
    "per_head": {"images": tf.uint8},
    "metadata": {},
}


def predict_request(
    model: str, signature: str, **inputs
) -> predict_pb2.PredictRequest:
    """Makes a request.

    Args:
        model: The name that the server knows the model by.
        signature: A key of `INPUTS`.
        **inputs: The signature's inputs, as arrays or lists: images
            [B, H, W, 3], encoded files [B], domains [B].
    """
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, dtype in INPUTS[signature].items():
        proto = tf.make_tensor_proto(inputs[name], dtype)
        request.inputs[name].CopyFrom(proto)
    return request


def outputs_of(response: predict_pb2.PredictResponse) -> dict[str, np.ndarray]:
    """Returns a response's tensors by name."""
    return {
        name: tf.make_ndarray(proto) for name, proto in response.outputs.items()
    }


def main(argv: list[str] | None = None) -> int:
    """Prints a line of JSON for each image; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", metavar="IMAGE")
    parser.add_argument("--address", default="127.0.0.1:8500")
    parser.add_argument("--model", default="dmg")
    parser.add_argument(
        "--signature", default="serving_bytes", choices=list(INPUTS)
    )
    parser.add_argument("--domain", help="for known_domain: an id or a name")
    args = parser.parse_args(argv)
    needed = INPUTS[args.signature]
    if (args.domain is not None) != (len(needed) == 2):
        parser.error("--domain goes with known_domain and known_domain_by_name")
    if bool(args.images) != bool(needed):
        parser.error("give images, except for the signature metadata")
    try:
        # A plain connection; across a network use grpc.secure_channel.
        with grpc.insecure_channel(args.address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            for path in args.images or [None]:
                request = predict_request(
                    args.model, args.signature, **_inputs(needed, path, args)
                )
                answer = outputs_of(stub.Predict(request, timeout=60))
                _show(path, answer)
    except grpc.RpcError as error:
        print(f"error: {error.code().name}: {error.details()}", file=sys.stderr)
        return 2
    except (OSError, ValueError, tf.errors.OpError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _inputs(needed, path, args) -> dict[str, list]:
    if not needed:
        return {}
    contents = pathlib.Path(path).read_bytes()
    if "image_bytes" in needed:
        return {"image_bytes": [contents]}
    image = tf.io.decode_image(contents, channels=3, expand_animations=False)
    inputs = {"images": image.numpy()[np.newaxis]}
    if "domain_ids" in needed:
        inputs["domain_ids"] = [int(args.domain)]
    if "domains" in needed:
        inputs["domains"] = [args.domain]
    return inputs


def _show(path, answer) -> None:
    if "metadata" in answer:
        print(answer["metadata"].item().decode())
        return
    first = {name: value[0].tolist() for name, value in answer.items()}
    print(json.dumps({"image": path, **first}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
