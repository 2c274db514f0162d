"""Looks through a SavedModel before it is loaded, as loading may run it."""

import os
import pathlib

from dmg_tf.errors import UserError

# What exports are made of beside plain arithmetic. None of it takes the name of
# a file or of a program, or hands a text to one.
_KNOWN = frozenset(
    "NoOp Placeholder PlaceholderWithDefault Assert VarHandleOp ReadVariableOp "
    "AssignVariableOp VarIsInitializedOp DisableCopyOnRead ResourceGather "
    "PartitionedCall StatefulPartitionedCall If StatelessIf Case StatelessCase "
    "While StatelessWhile AsString StringJoin StringLength ReduceJoin Substr "
    "StaticRegexFullMatch StaticRegexReplace RegexFullMatch RegexReplace "
    "DecodeRaw DecodeJpeg DecodePng ExtractJpegShape DecodeAndCropJpeg Einsum "
    "ScaleAndTranslate TensorDataset TensorSliceDataset MapDataset "
    "ParallelMapDatasetV2 BatchDatasetV2 ConcatenateDataset TakeDataset "
    "IgnoreErrorsDataset DatasetToSingleElement".split()
)
# These write and read the model's own variables where nothing else calls them.
_SAVER = frozenset(
    "SaveV2 RestoreV2 MergeV2Checkpoints ShardedFilename".split()
)
_SHOWN = 3


def check_untrusted(folder: str | pathlib.Path) -> None:
    """Raises UserError where a SavedModel could touch files or run programs.

    Its graph is read as data. An operation is harmless if it keeps no state
    and takes no text, as arithmetic does, or is one of those that exports need.

    Args:
        folder: The SavedModel.

    Raises:
        UserError: If there are others, or the graph can't be read.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        if os.path.exists(os.path.join(folder, "saved_model.cpb")):
            # TensorFlow would read this file in place of the other.
            raise OSError("saved_model.cpb is nothing that an export writes")
        with open(os.path.join(folder, "saved_model.pb"), "rb") as file:
            model.ParseFromString(file.read())
    except (OSError, DecodeError) as error:
        raise UserError(
            f"cannot read the model in {folder}: {error}"
        ) from error
    found = sorted({op for meta in model.meta_graphs for op in _unsafe(meta)})
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise UserError(
            f"the model in {folder} may touch files or run programs: it has "
            f"{', '.join(found[:_SHOWN])}{more}; pass --trust (in Python "
            "trust=True) if you know where it comes from"
        )


def _unsafe(meta) -> set[str]:
    """Returns the operations of a `MetaGraphDef` that are not harmless."""
    functions = {f.signature.name: f for f in meta.graph_def.library.function}
    saver_def = meta.saver_def
    saver_nodes = {
        name.partition(":")[0]
        for name in (saver_def.save_tensor_name, saver_def.restore_op_name)
    }
    saver, others = [], list(meta.object_graph_def.concrete_functions)
    for node in meta.graph_def.node:
        (saver if node.name in saver_nodes else others).extend(_called(node))
    # A function is the saver's if nothing else reaches it.
    saver = _reached(saver, functions) - _reached(others, functions)
    found = {n.op for n in meta.graph_def.node if not _harmless(n, functions)}
    for name, function in functions.items():
        allowed = _SAVER if name in saver else frozenset()
        found |= {
            node.op
            for node in function.node_def
            if node.op not in allowed and not _harmless(node, functions)
        }
    return found


def _reached(names, functions) -> set[str]:
    """Returns the functions that are called by some, and these."""
    reached, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name in functions and name not in reached:
            reached.add(name)
            for node in functions[name].node_def:
                waiting.extend(_called(node))
    return reached


def _called(node) -> list[str]:
    """Returns the functions that a node may call."""
    names = [node.op]
    for value in node.attr.values():
        names += [value.func.name] if value.HasField("func") else []
        names += [function.name for function in value.list.func]
    return names


def _harmless(node, functions) -> bool:
    from tensorflow.core.framework import types_pb2
    from tensorflow.python.framework import op_def_registry

    if node.op in _KNOWN or node.op in functions:
        return True
    op = op_def_registry.get(node.op)
    if op is None or op.is_stateful:
        return False
    if any(arg.type == types_pb2.DT_STRING for arg in op.input_arg):
        return False
    # Texts of a fixed choice, as a format of data is, are none to fear.
    return all(
        attr.allowed_values.list.s
        for attr in op.attr
        if attr.type in ("string", "list(string)")
    )
