"""ONNX: one file for onnxruntime and whatever else reads it."""

import contextlib
import logging
import os
import pathlib
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx

from dmg_tf.console.quiet import quiet_libraries
from dmg_tf.errors import UserError, first_line
from dmg_tf.export.single_file import FileFormat, export_file

# Read by onnxruntime since 1.12 (2022).
OPSET = 17


def export_onnx(
    model, results: dict[str, Any], out: str | pathlib.Path, **options
) -> dict[str, Any]:
    """Writes OUT, which holds its metadata as the property "metadata".

    The number of images is free, their size is the model's.

    Args:
        model: A built `DomainModel`.
        results: As for `export_saved_model`.
        out: The file, x.onnx.
        **options: As for `export_file`; "float16" or "float32".

    Returns:
        The metadata.

    Raises:
        UserError: As `export_file`.
    """
    return export_file(ONNX, model, results, out, **options)


def convert(module: tf.Module, precision: str, calibration=None) -> bytes:
    """Returns the file's contents.

    Args:
        module: Has the tf.function `predict`.
        precision: "float32" or "float16".
        calibration: Not used.

    Raises:
        UserError: If the converter can't, or a weight is beyond 16 bits.
    """
    del calibration
    signature = module.predict.input_signature
    try:
        with quiet_libraries(), _plain_tf2onnx():
            proto, _ = tf2onnx.convert.from_function(
                module.predict,
                input_signature=signature,
                opset=OPSET,
                custom_op_handlers={"Erfc": (_erfc, ["Sub"])},
            )
        _store_constants(proto, module.predict.get_concrete_function())
        onnx.checker.check_model(proto)
    except Exception as error:  # the converter raises many kinds
        raise UserError(
            f"tf2onnx cannot make ONNX of this model: {first_line(error)}"
        ) from error
    for tensor in (*proto.graph.input, *proto.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    # Shapes of what is between have other names for the batch.
    del proto.graph.value_info[:]
    if precision == "float16":
        store_in_16_bits(proto)
    return proto.SerializeToString()


def _store_constants(proto, function) -> None:
    """Stores the constants that a function has seen, in the file.

    tf2onnx takes them for further inputs.
    """
    constants = {
        inner.name: outer
        for outer, inner in function.graph.captures
        if outer.dtype != tf.resource
    }
    for tensor in list(proto.graph.input):
        if tensor.name in constants:
            value = constants[tensor.name].numpy()
            proto.graph.initializer.append(
                onnx.numpy_helper.from_array(value, tensor.name)
            )
            proto.graph.input.remove(tensor)


def _erfc(graph, node, *_):
    """Makes 1 - erf(x) of erfc(x), of which a GELU is made in TensorFlow.

    ONNX has none.
    """
    erf = graph.make_node("Erf", node.input)
    one = graph.make_const(f"{node.name}/one", np.float32(1.0))
    node.type = "Sub"
    graph.replace_inputs(node, [one.output[0], erf.output[0]])


@contextlib.contextmanager
def _plain_tf2onnx():
    """Lets tf2onnx fail instead of going on, quietly and in little memory.

    Before each of its 36 passes it copies all weights, to go back to, and after
    each it writes them anew, into memory that is freed with the graph alone: 15
    GB for AlexNet. A graph gone wrong would show when the file is compared.
    """
    logger, name = logging.getLogger("tf2onnx"), "TF2ONNX_CATCH_ERRORS"
    level, before = logger.level, os.environ.get(name)
    logger.setLevel(logging.ERROR)
    os.environ[name] = "FALSE"
    node = tf2onnx.graph.Node
    update_proto = node.update_proto

    def update_unless_constant(self, *args, **kwargs):
        # A constant's value is read from elsewhere in the end.
        if not self.is_const():
            update_proto(self, *args, **kwargs)

    node.update_proto = update_unless_constant
    try:
        yield
    finally:
        node.update_proto = update_proto
        logger.setLevel(level)
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def store_in_16_bits(proto: onnx.ModelProto) -> None:
    """Stores kernels in float16, each cast to float32 where it is used.

    Vectors stay: batch normalisation's variances can be too large. A runtime
    does the casts once, when it loads the file.

    Raises:
        UserError: If a weight is too large.
    """
    casts = []
    for tensor in proto.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        value = onnx.numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            stored = value.astype(np.float16)
        if not np.isfinite(stored).all():
            raise UserError(
                f"the weights {tensor.name!r} reach {np.abs(value).max():.3g}, "
                "which does not fit float16; export in float32"
            )
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(stored, f"{name}/16"))
        casts.append(
            onnx.helper.make_node(
                "Cast", [f"{name}/16"], [name], to=onnx.TensorProto.FLOAT
            )
        )
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def embed(contents: bytes, text: str) -> bytes:
    """Returns the contents with the metadata as a property of the model."""
    proto = onnx.load_from_string(contents)
    onnx.helper.set_model_props(proto, {"metadata": text})
    return proto.SerializeToString()


def predict(path: pathlib.Path, images: np.ndarray) -> np.ndarray:
    """Runs a file with onnxruntime on the CPU.

    Args:
        path: A file that `export_onnx` wrote.
        images: uint8 [N, S, S, 3].

    Returns:
        Logits float32 [N, C].

    Raises:
        UserError: If onnxruntime can't run it.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        [logits] = session.run(["logits"], {"images": images})
    except Exception as error:  # each of its kinds is a class of its own
        raise UserError(
            f"onnxruntime cannot run the file: {str(error).splitlines()[0]}"
        ) from error
    return logits


ONNX = FileFormat(
    "onnx", batch=None, convert=convert, predict=predict, embed=embed
)
