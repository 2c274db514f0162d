"""Reads the weight files of `torch.save`, without PyTorch.

Such a file is a pickle beside raw numbers. `torch_pickle` interprets the pickle
and runs nothing of it.

A file may also lie about sizes. Every length is compared with what the file
holds before memory is asked for, so reading takes the size of the file (twice
that for bfloat16, which becomes float32) plus a constant set by the limits.
"""

import io
import math
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmg_tf.backbones.weights.torch_pickle import (
    BFLOAT16,
    Pickles,
    Storage,
    Tensor,
    is_length,
)
from dmg_tf.backbones.weights.untrusted import BoundedReader, one_line
from dmg_tf.errors import UserError

MAX_DIMENSIONS = 16

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a storage lies; `crc` is 0 where the file keeps no checksum."""

    start: int
    size: int
    crc: int = 0


def read_torch_file(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the state dict in a file of `torch.save`, of either format.

    Args:
        path: A `.pth`, `.pt` or `.bin` file: a zip archive (PyTorch 1.6 and
            later) or the stream of pickles that came before. A checkpoint
            that holds the state dict as "state_dict" or "model" is fine.

    Returns:
        Arrays by entry name, in the file's order and number types, but
        bfloat16 as float32. Entries that share numbers, share memory.

    Raises:
        OSError: If the file cannot be read at all.
        UserError: If it holds anything but tensors, or is damaged.
    """
    try:
        with BoundedReader(path) as file:
            pickles = Pickles()
            if file.read(2) == b"PK":
                content, spans, order = _open_archive(file, pickles)
            else:
                content, spans, order = _open_stream(file, pickles)
            tensors = _state_dict(content)
            storages = _Storages(file, spans, order)
            return {
                name: _view(name, tensor, storages)
                for name, tensor in tensors.items()
            }
    except UserError as error:
        raise UserError(f"{path}: not usable as weights: {error}") from None
    except (
        ArithmeticError,
        EOFError,
        LookupError,
        NotImplementedError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        raise UserError(
            f"{path}: not usable as weights: not a file of torch.save, or "
            f"damaged ({one_line(error)})"
        ) from error


def _open_archive(file, pickles):
    """Returns what the pickle holds, spans by key, and the byte order."""
    with zipfile.ZipFile(file) as archive:
        entries = {info.filename: info for info in archive.infolist()}
    roots = [
        name.removesuffix("data.pkl")
        for name in entries
        if name.count("/") == 1 and name.endswith("/data.pkl")
    ]
    if len(roots) != 1:
        raise UserError("a zip archive without the data.pkl of torch.save")
    root = roots[0]

    def text_of(name):
        span = _entry_span(file, entries[root + name])
        file.seek(span.start)
        return file.read(span.size)

    order = text_of("byteorder") if root + "byteorder" in entries else b"little"
    if order not in (b"little", b"big"):
        raise UserError("its byte order is neither little nor big")
    content = pickles.run(io.BytesIO(text_of("data.pkl")))
    spans = {}
    for key in pickles.storages:
        info = entries.get(f"{root}data/{key}")
        if info is None:
            raise UserError(f"storage {one_line(key)!r} is not in it")
        spans[key] = _entry_span(file, info)
    return content, spans, "<" if order == b"little" else ">"


def _entry_span(file, info):
    name, start = one_line(info.filename), info.header_offset
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise UserError(f"{name!r} is compressed, which torch.save never does")
    # The local header is read here as its length differs from the directory's:
    # torch.save pads it, to align the numbers.
    header = b""
    if 0 <= start < file.size:
        file.seek(start)
        header = file.read(30)
    if len(header) == 30 and header.startswith(b"PK\x03\x04"):
        start += 30 + sum(struct.unpack("<HH", header[26:]))
        if start + info.file_size <= file.size:
            return _Span(start, info.file_size, info.CRC)
    raise UserError(f"{name!r} does not lie within the file")


def _open_stream(file, pickles):
    """Returns what the main pickle holds, spans by key, and the byte order."""
    file.seek(0)
    for expected in (_LEGACY_MAGIC, _LEGACY_PROTOCOL):
        if pickles.run(file) != expected:
            raise UserError("a pickle, but not one of torch.save")
    pickles.run(file)  # The sizes of C types where it was written.
    content = pickles.run(file)
    keys = pickles.run(file)
    spans = {}
    for key in keys:
        if type(key) is not str or key not in pickles.storages:
            raise UserError("it lists a storage that no tensor uses")
        storage = pickles.storages[key]
        numel = int.from_bytes(file.read(8), "little", signed=True)
        if numel != storage.numel:
            raise UserError(
                f"storage {one_line(key)!r} has {numel} elements where its "
                f"tensors expect {storage.numel}"
            )
        spans[key] = _Span(file.tell(), storage.size)
        if spans[key].start + storage.size > file.size:
            raise UserError(_too_large(storage, file.size - spans[key].start))
        file.seek(storage.size, io.SEEK_CUR)
    return content, spans, "<"


def _state_dict(content):
    """Returns the tensors by name, out of a checkpoint if need be."""
    if not isinstance(content, dict):
        raise UserError(
            f"it holds a {type(content).__name__}, not a state dict"
        )
    for key in ("state_dict", "model"):
        if isinstance(content.get(key), dict):
            content = content[key]
            break
    for name, value in content.items():
        if not isinstance(value, Tensor):
            raise UserError(
                f"entry {one_line(name)!r} is not a tensor but of type "
                f"{type(value).__name__}"
            )
    return {str(name): tensor for name, tensor in content.items()}


def _too_large(storage, size):
    return (
        f"storage {one_line(storage.key)!r} should have {storage.size} bytes, "
        f"the file holds {size}"
    )


class _Storages:
    """Reads storages when a tensor asks for one, each of them once."""

    def __init__(self, file, spans, order):
        self._file, self._spans, self._order = file, spans, order
        self._left = file.size
        self._arrays: dict[str, np.ndarray] = {}

    def __getitem__(self, storage: Storage) -> np.ndarray:
        if storage.key not in self._arrays:
            if storage.key not in self._spans:
                raise UserError(
                    f"storage {one_line(storage.key)!r} is not in it"
                )
            span = self._spans[storage.key]
            if span.size != storage.size:
                raise UserError(_too_large(storage, span.size))
            # Entries of an archive may lie over one another, so that a small
            # file could fill any memory.
            self._left -= span.size
            if self._left < 0:
                raise UserError("its storages overlap")
            self._arrays[storage.key] = self._read(storage, span)
        return self._arrays[storage.key]

    def _read(self, storage, span):
        self._file.seek(span.start)
        if storage.dtype == BFLOAT16:
            array, crc = self._read_bfloat16(storage.numel)
        else:
            dtype = np.dtype(storage.dtype).newbyteorder(self._order)
            array = np.empty(storage.numel, dtype)
            if self._file.readinto(array.view("u1")) != span.size:
                raise UserError("it became shorter while it was read")
            crc = zlib.crc32(array.view("u1")) if span.crc else 0
            if storage.dtype == "?":
                # NumPy trusts that a bool is 0 or 1; the file may differ.
                array = array.view("u1") != 0
            array = array.astype(dtype.newbyteorder("="), copy=False)
        if span.crc and crc != span.crc:
            raise UserError(
                f"storage {one_line(storage.key)!r} is damaged (its checksum "
                "differs)"
            )
        return array

    def _read_bfloat16(self, numel):
        # In chunks, as a whole copy beside the result would be a third more.
        bits, crc = np.empty(numel, "u4"), 0
        for start in range(0, numel, _CHUNK):
            part = bits[start : start + _CHUNK]
            raw = self._file.read(2 * len(part))
            crc = zlib.crc32(raw, crc)
            part[:] = np.frombuffer(raw, self._order + "u2")
            part <<= 16
        return bits.view("f4"), crc


def _view(name, tensor, storages):
    """Returns a tensor as an array, after checking that it may be one."""
    storage, size, stride = tensor.storage, tensor.size, tensor.stride
    numbers = (tensor.offset, *size, *stride)
    if (
        not isinstance(storage, Storage)
        or len(size) != len(stride)
        or len(size) > MAX_DIMENSIONS
        or not all(is_length(number) for number in numbers)
    ):
        raise UserError(f"entry {one_line(name)!r} has no valid shape")
    elements = math.prod(size)
    last = tensor.offset + sum(
        (n - 1) * step for n, step in zip(size, stride, strict=True)
    )
    # An expanded tensor (stride 0) lies within its storage but would fill any
    # memory once it is copied.
    if elements and max(elements - 1, last) >= storage.numel:
        raise UserError(
            f"entry {one_line(name)!r} of shape {tuple(size)} goes beyond its "
            f"storage of {storage.numel} elements"
        )
    array = storages[storage]
    if not elements:
        return np.empty(size, array.dtype)
    return np.ndarray(
        size,
        array.dtype,
        array,
        tensor.offset * array.itemsize,
        [step * array.itemsize for step in stride],
    )
