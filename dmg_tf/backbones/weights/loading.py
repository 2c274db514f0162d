"""Where the weights of a backbone come from: a file, or ImageNet's by name."""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

# For callers, weights come from this module alone.
from dmg_tf.backbones.weights.download import (  # noqa: F401
    fetch_imagenet,
    sha256_of,
)
from dmg_tf.backbones.weights.torch_file import read_torch_file
from dmg_tf.backbones.weights.untrusted import (
    MAX_READ,
    BoundedReader,
    one_line,
)
from dmg_tf.errors import UserError

_HDF5_START = b"\x89HDF\r\n\x1a\n"
_SAFETENSORS_DTYPES = frozenset(
    ["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"]
)
_CHUNK = 1 << 20


def is_keras_weights(path: str | Path) -> bool:
    """Returns whether `model.load_weights` is what reads this file.

    Keras goes by the name, so both the name and the content have to fit.

    Args:
        path: Any path; it need not exist.
    """
    return str(path).endswith(".weights.h5") and is_hdf5(path)


def is_hdf5(path: str | Path) -> bool:
    """Returns whether there is a file of HDF5.

    Args:
        path: Any path; it need not exist.
    """
    if not Path(path).is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(_HDF5_START)) == _HDF5_START


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a state dict with torchvision's names, whatever file it is in.

    The content decides, not the name: `torch.save` (`.pth`, `.pt`, `.bin`; both
    of its formats), safetensors, or NumPy's `.npz`. Nothing in the file is run,
    and no more memory is taken than about twice its size.

    Args:
        path: The file.

    Returns:
        Arrays by entry name, in the file's number types, but bfloat16 as
        float32. The "module." that DataParallel puts before each name is gone.

    Raises:
        UserError: If the file is missing, of another kind, or damaged.
    """
    try:
        tensors = _reader_of(path)(path)
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise UserError(f"{path}: cannot read weights: {reason}") from error
    if not tensors:
        raise UserError(f"{path}: it holds no tensors")
    if all(name.startswith("module.") for name in tensors):
        tensors = {
            name.removeprefix("module."): tensor
            for name, tensor in tensors.items()
        }
    return tensors


def _reader_of(path):
    with open(path, "rb") as file:
        head = file.read(16)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_READ:
        return _read_safetensors
    if head[:4] == b"PK\x03\x04":
        return _read_npz if _is_npz(path) else read_torch_file
    if head[:1] == b"\x80":  # The first instruction of every binary pickle.
        return read_torch_file
    if head.startswith(_HDF5_START):
        raise UserError(
            f"{path}: an HDF5 file; only Keras' own weights are read from "
            "HDF5, and their name has to end in .weights.h5"
        )
    raise UserError(
        f"{path}: not a weights file; known: torch.save (.pth, .pt, .bin), "
        ".safetensors, .npz, .weights.h5"
    )


def _read_safetensors(path):
    import ml_dtypes  # noqa: F401  Teaches NumPy the name "bfloat16".
    import safetensors

    tensors = {}
    try:
        with safetensors.safe_open(path, framework="np") as file:
            for name in file.keys():
                dtype = file.get_slice(name).get_dtype()
                if dtype not in _SAFETENSORS_DTYPES:
                    raise UserError(f"entry {name!r} is of type {dtype}")
                tensor = file.get_tensor(name)
                if dtype == "BF16":
                    tensor = tensor.astype(np.float32)
                tensors[name] = tensor
    except (
        UserError,
        TypeError,
        ValueError,
        safetensors.SafetensorError,
    ) as error:
        raise UserError(
            f"{path}: not usable as weights: {one_line(error)}"
        ) from error
    return tensors


def _is_npz(path):
    try:
        with BoundedReader(path) as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (UserError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def _read_npz(path):
    try:
        with BoundedReader(path) as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            # A few kB of zeros unpack to gigabytes; weights hardly shrink.
            if sum(e.file_size for e in entries) > 2 * file.size + _CHUNK:
                raise UserError("it unpacks to more than twice its size")
            return {
                entry.filename.removesuffix(".npy"): _read_npy(archive, entry)
                for entry in entries
            }
    except Exception as error:
        # NumPy reads its header as Python literals; what that raises on a
        # damaged one is no list to rely on.
        raise UserError(
            f"{path}: not usable as weights: {one_line(error)}"
        ) from error


def _read_npy(archive, entry):
    name = one_line(entry.filename)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(f"{name!r} is compressed in an unknown way")
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            header = np.lib.format.read_array_header_1_0(file)
        else:
            header = np.lib.format.read_array_header_2_0(file)
        shape, _, dtype = header
        if dtype.kind not in "biuf":
            raise UserError(f"{name!r} holds no numbers")
        # NumPy allocates what the header says before it reads.
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or size != entry.file_size - file.tell():
            raise UserError(f"{name!r} is not as large as it says")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)


def assign_torchvision(
    entries: Mapping[str, tuple[Any, tuple[int, ...]]],
    state_dict: Mapping[str, np.ndarray],
    *,
    classifier: tuple[str, ...],
    source: str = "state_dict",
) -> None:
    """Assigns weights with torchvision's names and layouts to variables.

    Args:
        entries: {entry name: (variable, axes)}, as `torchvision_entries` gives
            them: the variable is the entry's array, transposed by `axes`.
        state_dict: See `match_state_dict`.
        classifier: Likewise; kept fresh when the number of classes differs.
        source: Likewise.

    Raises:
        UserError: If an entry is missing, left over or misshapen; nothing is
            assigned then.
    """
    matched = match_state_dict(
        state_dict,
        {
            name: _torch_shape(variable.shape, axes)
            for name, (variable, axes) in entries.items()
        },
        classifier=classifier,
        source=source,
    )
    for name, array in matched.items():
        variable, axes = entries[name]
        variable.assign(array.transpose(axes))


def _torch_shape(shape, axes) -> tuple[int, ...]:
    torch_shape = [0] * len(axes)
    for size, axis in zip(shape, axes, strict=True):
        torch_shape[axis] = size
    return tuple(torch_shape)


def match_state_dict(
    state_dict: Mapping[str, np.ndarray],
    expected: Mapping[str, tuple[int, ...]],
    *,
    classifier: tuple[str, ...],
    source: str,
) -> dict[str, np.ndarray]:
    """Checks that a state dict has the entries of a backbone, and no others.

    Args:
        state_dict: Arrays by torchvision's names. `num_batches_tracked`
            entries are ignored.
        expected: The shape of every entry that is needed.
        classifier: Names of the last layer's entries. They are left out of the
            result where only their number of classes (dimension 0) differs, as
            the new dataset needs a new last layer.
        source: What error messages call the state dict; a path, usually.

    Returns:
        float32 arrays by name, in the order of `expected`; those that are
        float32 already are not copied.

    Raises:
        UserError: If an entry is missing, left over, or of another shape. The
            message names the first few of each kind.
    """
    given = {
        name: np.asarray(array)
        for name, array in state_dict.items()
        if not name.endswith("num_batches_tracked")
    }
    head = [name for name in classifier if name in given and name in expected]
    new_head = bool(head) and all(
        _differs_in_classes(given[name].shape, expected[name]) for name in head
    )
    needed = {
        name: tuple(shape)
        for name, shape in expected.items()
        if not (new_head and name in head)
    }
    problems = {
        "missing": [
            f"{name} {shape}"
            for name, shape in needed.items()
            if name not in given
        ],
        "left over": [
            f"{one_line(name)} {array.shape}"
            for name, array in given.items()
            if name not in expected
        ],
        "of another shape": [
            f"{name} {given[name].shape}, expected {shape}"
            for name, shape in needed.items()
            if name in given and given[name].shape != shape
        ],
    }
    if any(problems.values()):
        parts = [
            f"{len(entries)} {kind}: {'; '.join(entries[:3])}"
            + ("; ..." if len(entries) > 3 else "")
            for kind, entries in problems.items()
            if entries
        ]
        raise UserError(
            f"{source}: its entries are not this backbone's: "
            + " | ".join(parts)
        )
    return {name: np.asarray(given[name], np.float32) for name in needed}


def _differs_in_classes(given, expected):
    return (
        len(given) == len(expected) > 0
        and given[0] != expected[0]
        and given[1:] == tuple(expected[1:])
    )
