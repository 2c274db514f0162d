"""Interprets the pickles in the weight files of `torch.save`.

A pickle is a program. Python's own unpickler would run it, so it is not used:
the few instructions that a state dict needs are interpreted here, with
PyTorch's names as plain words. Nothing that a file says is ever imported or
called.
"""

import pickletools
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from dmg_tf.backbones.weights.untrusted import MAX_READ, one_line
from dmg_tf.errors import UserError

# A ResNet-50 needs 10 000. The limit bounds the memory that containers take,
# as one byte of a pickle can ask for an object of 64.
MAX_INSTRUCTIONS = 200_000

BFLOAT16 = "bfloat16"

_STORAGE_DTYPES = {
    "torch DoubleStorage": "f8",
    "torch FloatStorage": "f4",
    "torch HalfStorage": "f2",
    "torch BFloat16Storage": BFLOAT16,
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


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of numbers in the file, known by its key."""

    key: str
    dtype: str
    numel: int

    @property
    def size(self) -> int:
        """Bytes it takes in the file."""
        width = 2 if self.dtype == BFLOAT16 else np.dtype(self.dtype).itemsize
        return self.numel * width


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a storage as the pickle gives it, not yet checked."""

    storage: Any
    offset: Any
    size: tuple
    stride: tuple


@dataclass(frozen=True, slots=True)
class _Word:
    """A name that a pickle may use; stands for itself."""

    name: str


def _build_tensor(storage, offset, size, stride, *_):
    if not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise UserError("a tensor whose shape is no tuple")
    return Tensor(storage, offset, size, stride)


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


def is_length(value: Any) -> bool:
    """Returns whether a value out of a file can be a number of elements."""
    return type(value) is int and 0 <= value < 1 << 48


class Pickles:
    """Interprets the pickles of one file.

    Attributes:
        storages: The storages they named, by key.
    """

    def __init__(self):
        self.storages: dict[str, Storage] = {}
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
                self._expect(stack[-1], (dict, Tensor))
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
                f"it refers to {one_line(name.replace(' ', '.'))}, which is "
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
        if kind != "storage" or type(key) is not str or not is_length(numel):
            raise UserError("it holds more than tensors (a whole module?)")
        if view not in ([], [None]):
            raise UserError(f"storage {one_line(key)!r} is a view (old format)")
        dtype = _STORAGE_DTYPES[self._expect(word, _Word).name]
        storage = Storage(key, dtype, numel)
        if self.storages.setdefault(key, storage) != storage:
            raise UserError(f"storage {one_line(key)!r} has two types")
        return storage
