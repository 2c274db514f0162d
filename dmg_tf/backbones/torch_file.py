"""Reads the weight files of `torch.save`, without PyTorch.

Such a file is a pickle beside raw numbers, and a pickle is a program. Python's
own unpickler would run it, so it is not used: the few instructions that a state
dict needs are interpreted here, with PyTorch's names as plain words. Nothing
that a file says is ever imported or called.

A file may also lie about sizes. Every length is compared with what the file
holds before memory is asked for, so reading takes the size of the file (twice
that for bfloat16, which becomes float32) plus a constant set by the limits.
"""

import io
import math
import pickletools
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dmg_tf.errors import UserError

# A ResNet-50 needs 40 kB and 10 000 instructions. The limits bound the memory
# that containers take, as one byte of a pickle can ask for an object of 64.
MAX_READ = 1 << 20
MAX_INSTRUCTIONS = 200_000
MAX_DIMENSIONS = 16

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_CHUNK = 1 << 18
_BFLOAT16 = "bfloat16"

_STORAGE_DTYPES = {
    "torch DoubleStorage": "f8",
    "torch FloatStorage": "f4",
    "torch HalfStorage": "f2",
    "torch BFloat16Storage": _BFLOAT16,
    "torch LongStorage": "i8",
    "torch IntStorage": "i4",
    "torch ShortStorage": "i2",
    "torch CharStorage": "i1",
    "torch ByteStorage": "u1",
    "torch BoolStorage": "?",
}

_CONSTANTS = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
_LITERALS = frozenset(
    "BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE "
    "BINUNICODE8 BINSTRING SHORT_BINSTRING".split()
)
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def printable(value: Any) -> str:
    """Returns text out of a file as one short line, safe for a terminal."""
    text = " ".join(str(value).split())
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 120 else text[:117] + "..."


class BoundedReader(io.BufferedReader):
    """A file that refuses to read much at once.

    `zipfile` and `pickletools` believe the lengths that a file declares, and
    Python allocates a read before it looks whether the file is that long.

    Args:
        path: File to open.
    """

    def __init__(self, path):
        super().__init__(io.FileIO(path))
        self.size = self.seek(0, io.SEEK_END)
        self.seek(0)

    def read(self, size=-1):
        """Reads up to `size` bytes, if the file holds no more than allowed."""
        left = max(self.size - self.tell(), 0)
        size = left if size is None or size < 0 else min(size, left)
        if size > MAX_READ:
            raise UserError(f"a record of {size} bytes, more than weights need")
        return super().read(size)

    def readline(self, size=-1):
        """Reads a line, or as much of it as is allowed."""
        return super().readline(MAX_READ)


@dataclass(frozen=True, slots=True)
class _Storage:
    """A run of numbers in the file, known by its key."""

    key: str
    dtype: str
    numel: int

    @property
    def size(self) -> int:
        """Bytes it takes in the file."""
        width = 2 if self.dtype == _BFLOAT16 else np.dtype(self.dtype).itemsize
        return self.numel * width


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A view of a storage as the pickle gives it, not yet checked."""

    storage: Any
    offset: Any
    size: tuple
    stride: tuple


@dataclass(frozen=True, slots=True)
class _Word:
    """A name that a pickle may use; stands for itself."""

    name: str


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a storage lies; `crc` is 0 where the file keeps no checksum."""

    start: int
    size: int
    crc: int = 0


def _build_tensor(storage, offset, size, stride, *_):
    if not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise UserError("a tensor whose shape is no tuple")
    return _Tensor(storage, offset, size, stride)


def _build_dict(items=()):
    if not isinstance(items, (list, tuple, zip)):
        raise UserError("a dict that is made of no list")
    built = {}
    for key, value in items:
        built[_checked_key(key)] = value
    return built


# What the names in a state dict stand for here.
_BUILDERS = {
    "collections OrderedDict": _build_dict,
    "torch Size": lambda size: size,
    "torch._utils _rebuild_tensor": _build_tensor,
    "torch._utils _rebuild_tensor_v2": _build_tensor,
    "torch._utils _rebuild_parameter": lambda data, *_: data,
    "torch._utils _rebuild_parameter_with_state": lambda data, *_: data,
}


def _checked_key(key):
    # Hashing a deeply nested tuple overflows the C stack.
    if type(key) not in (str, int):
        raise UserError(f"a key of type {type(key).__name__} in its pickle")
    return key


def _is_length(value):
    return type(value) is int and 0 <= value < 1 << 48


class _Pickles:
    """Interprets the pickles of one file.

    Attributes:
        storages: The storages they named, by key.
    """

    def __init__(self):
        self.storages: dict[str, _Storage] = {}
        self._instructions = MAX_INSTRUCTIONS

    def run(self, stream: BinaryIO) -> Any:
        """Interprets one pickle and leaves the stream behind its end."""
        stack, marks, memo = [], [], {}
        start = stream.tell()

        def above_mark():
            mark = marks.pop()
            items = stack[mark:]
            del stack[mark:]
            return items

        for opcode, argument, position in pickletools.genops(stream):
            self._spend(1)
            if position - start > MAX_READ:
                raise UserError(f"its pickle is longer than {MAX_READ} bytes")
            name = opcode.name
            if name in _LITERALS:
                stack.append(argument)
            elif name in _CONSTANTS:
                stack.append(_CONSTANTS[name]())
            elif name in ("BINPUT", "LONG_BINPUT"):
                memo[argument] = stack[-1]
            elif name == "MEMOIZE":
                memo[len(memo)] = stack[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            elif name == "MARK":
                marks.append(len(stack))
            elif name == "TUPLE":
                stack.append(tuple(above_mark()))
            elif name in _TUPLES:
                items = [stack.pop() for _ in range(_TUPLES[name])]
                stack.append(tuple(reversed(items)))
            elif name in ("APPEND", "APPENDS"):
                items = above_mark() if name == "APPENDS" else [stack.pop()]
                self._expect(stack[-1], list).extend(items)
            elif name in ("SETITEM", "SETITEMS"):
                items = above_mark() if name == "SETITEMS" else stack[-2:]
                if name == "SETITEM":
                    del stack[-2:]
                pairs = zip(items[::2], items[1::2], strict=True)
                self._expect(stack[-1], dict).update(_build_dict(pairs))
            elif name == "GLOBAL":
                stack.append(self._word(argument))
            elif name == "STACK_GLOBAL":
                names = [self._expect(stack.pop(), str) for _ in range(2)]
                stack.append(self._word(" ".join(reversed(names))))
            elif name == "REDUCE":
                arguments = self._expect(stack.pop(), tuple)
                stack.append(self._build(stack.pop(), arguments))
            elif name == "BUILD":
                # The attributes of a state dict (`_metadata`) or of a
                # parameter; the weights are complete without them.
                stack.pop()
                self._expect(stack[-1], (dict, _Tensor))
            elif name == "BINPERSID":
                stack.append(self._storage(stack.pop()))
            elif name == "STOP":
                return stack.pop()
            elif name not in ("PROTO", "FRAME"):
                raise UserError(f"the instruction {name} in its pickle")
        raise UserError("its pickle has no end")

    def _spend(self, instructions):
        self._instructions -= instructions
        if self._instructions < 0:
            raise UserError(
                f"its pickle has more than {MAX_INSTRUCTIONS} instructions"
            )

    @staticmethod
    def _expect(value, kinds):
        if not isinstance(value, kinds):
            raise ValueError(f"a {type(value).__name__} in the wrong place")
        return value

    @staticmethod
    def _word(name):
        if name not in _BUILDERS and name not in _STORAGE_DTYPES:
            raise UserError(
                f"it refers to {printable(name.replace(' ', '.'))}, which is "
                "no part of a state dict; nothing of the file was run"
            )
        return _Word(name)

    def _build(self, word, arguments):
        name = self._expect(word, _Word).name
        # A long list that is memorised once could be copied by every call.
        lists = [a for a in arguments if isinstance(a, (list, tuple))]
        self._spend(sum(len(a) for a in (arguments, *lists)))
        if name not in _BUILDERS:
            raise ValueError(f"a call of {name}")
        return _BUILDERS[name](*arguments)

    def _storage(self, reference):
        kind, word, key, _, numel, *view = self._expect(reference, tuple)
        if kind != "storage" or type(key) is not str or not _is_length(numel):
            raise UserError("it holds more than tensors (a whole module?)")
        if view not in ([], [None]):
            raise UserError(
                f"storage {printable(key)!r} is a view (old format)"
            )
        dtype = _STORAGE_DTYPES[self._expect(word, _Word).name]
        storage = _Storage(key, dtype, numel)
        if self.storages.setdefault(key, storage) != storage:
            raise UserError(f"storage {printable(key)!r} has two types")
        return storage


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
            pickles = _Pickles()
            if file.read(2) == b"PK":
                found, spans, order = _open_archive(file, pickles)
            else:
                found, spans, order = _open_stream(file, pickles)
            tensors = _state_dict(found)
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
            f"damaged ({printable(error)})"
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
    found = pickles.run(io.BytesIO(text_of("data.pkl")))
    spans = {}
    for key in pickles.storages:
        info = entries.get(f"{root}data/{key}")
        if info is None:
            raise UserError(f"storage {printable(key)!r} is not in it")
        spans[key] = _entry_span(file, info)
    return found, spans, "<" if order == b"little" else ">"


def _entry_span(file, info):
    name, start = printable(info.filename), info.header_offset
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
    found = pickles.run(file)
    keys = pickles.run(file)
    spans = {}
    for key in keys:
        if type(key) is not str or key not in pickles.storages:
            raise UserError("it lists a storage that no tensor uses")
        storage = pickles.storages[key]
        numel = int.from_bytes(file.read(8), "little", signed=True)
        if numel != storage.numel:
            raise UserError(
                f"storage {printable(key)!r} has {numel} elements where its "
                f"tensors expect {storage.numel}"
            )
        spans[key] = _Span(file.tell(), storage.size)
        if spans[key].start + storage.size > file.size:
            raise UserError(_too_large(storage, file.size - spans[key].start))
        file.seek(storage.size, io.SEEK_CUR)
    return found, spans, "<"


def _state_dict(found):
    """Returns the tensors by name, out of a checkpoint if need be."""
    if not isinstance(found, dict):
        raise UserError(f"it holds a {type(found).__name__}, not a state dict")
    for key in ("state_dict", "model"):
        if isinstance(found.get(key), dict):
            found = found[key]
            break
    for name, value in found.items():
        if not isinstance(value, _Tensor):
            raise UserError(
                f"entry {printable(name)!r} is not a tensor but of type "
                f"{type(value).__name__}"
            )
    return {str(name): tensor for name, tensor in found.items()}


def _too_large(storage, size):
    return (
        f"storage {printable(storage.key)!r} should have {storage.size} bytes, "
        f"the file holds {size}"
    )


class _Storages:
    """Reads storages when a tensor asks for one, each of them once."""

    def __init__(self, file, spans, order):
        self._file, self._spans, self._order = file, spans, order
        self._left = file.size
        self._arrays: dict[str, np.ndarray] = {}

    def __getitem__(self, storage: _Storage) -> np.ndarray:
        if storage.key not in self._arrays:
            if storage.key not in self._spans:
                raise UserError(
                    f"storage {printable(storage.key)!r} is not in it"
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
        if storage.dtype == _BFLOAT16:
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
                f"storage {printable(storage.key)!r} is damaged (its checksum "
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
        not isinstance(storage, _Storage)
        or len(size) != len(stride)
        or len(size) > MAX_DIMENSIONS
        or not all(_is_length(number) for number in numbers)
    ):
        raise UserError(f"entry {printable(name)!r} has no valid shape")
    elements = math.prod(size)
    last = tensor.offset + sum(
        (n - 1) * step for n, step in zip(size, stride, strict=True)
    )
    # An expanded tensor (stride 0) lies within its storage but would fill any
    # memory once it is copied.
    if elements and max(elements - 1, last) >= storage.numel:
        raise UserError(
            f"entry {printable(name)!r} of shape {tuple(size)} goes beyond its "
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
