"""Files of `torch.save`, put together instruction by instruction."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from dmg_tf.backbones.weights.torch_file import read_torch_file
from dmg_tf.errors import UserError

EMPTY_ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def text(value):
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def number(value):
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def items(*values):
    return b"(" + b"".join(values) + b"t"


def tensor(key, kind, numel, size, stride, offset=0):
    """Pickles a tensor the way `torch.save` does."""
    storage = items(
        text("storage"),
        f"ctorch\n{kind}Storage\n".encode(),
        text(key),
        text("cpu"),
        number(numel),
    )
    arguments = items(
        storage + b"Q",
        number(offset),
        items(*map(number, size)),
        items(*map(number, stride)),
        b"\x89",
        EMPTY_ORDERED_DICT,
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def state_dict(**entries):
    pairs = b"".join(text(name) + value for name, value in entries.items())
    return EMPTY_ORDERED_DICT + b"(" + pairs + b"u"


def archive(body, storages, compression=zipfile.ZIP_STORED, order=b"little"):
    """Returns the newer format: a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as target:
        target.writestr("net/data.pkl", b"\x80\x02" + body + b".")
        target.writestr("net/byteorder", order)
        for key, data in storages.items():
            target.writestr(f"net/data/{key}", data)
    return file.getvalue()


def stream(body, storages, width=4):
    """Returns the older format: pickles and numbers in a row."""
    keys = b"](" + b"".join(map(text, storages)) + b"e"
    magic = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
    pickles = (magic, b"M\xe9\x03", b"}", body, keys)
    return b"".join(b"\x80\x02" + p + b"." for p in pickles) + b"".join(
        struct.pack("<q", len(data) // width) + data
        for data in storages.values()
    )


WRITERS = pytest.mark.parametrize("write", [archive, stream])


def example(write=archive, **entries):
    """Returns a file with a weight, a bias, and what else is given."""
    weight = tensor("0", "Float", 6, (2, 3), (3, 1))
    bias = tensor("1", "Float", 2, (2,), (1,))
    data = {
        "0": np.arange(6, dtype="<f4").tobytes(),
        "1": np.ones(2, "<f4").tobytes(),
    }
    return write(state_dict(weight=weight, bias=bias, **entries), data)


def traced(path):
    """Returns the tensors or the error of a file, and the peak memory."""
    tracemalloc.start()
    try:
        found = read_torch_file(path)
    except UserError as error:
        found = error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return found, peak


def mutated(content, rng):
    """Returns the content with a few bytes changed, cut out or repeated."""
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = rng.randrange(len(content))
        length = rng.choice([1, 2, 4, 8])
        kind = rng.randrange(6)
        if kind == 0:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            content[at : at + length] = rng.randbytes(length)
        elif kind == 2:
            content[at : at + length] = b"\xff" * (length - 1) + b"\x7f"
        elif kind == 3:
            del content[at : at + length]
        elif kind == 4:
            content[at:at] = content[at : at + 8 * length]
        else:
            content[at] = rng.choice(b"(.0eusatRbQocij\x81\x82\x85\x8b\x8e\x93")
    return bytes(content)
