"""The fixtures were written by torch.save of PyTorch 2.14.1: random numbers.

All other files are put together here, instruction by instruction.
"""

import io
import random
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dmg_tf.backbones import torch_file
from dmg_tf.backbones.torch_file import read_torch_file
from dmg_tf.errors import UserError

FIXTURES = Path(__file__).parent / "fixtures"
TYPES = {"f4": "Float", "f8": "Double", "f2": "Half", "i8": "Long"}
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


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "net.pth"
        path.write_bytes(content)
        return read_torch_file(path)

    return read


@pytest.fixture
def refused(read):
    """Checks that a file is refused, in one line, for the reason given."""

    def refused(content, reason):
        with pytest.raises(UserError, match=reason) as caught:
            read(content)
        message = str(caught.value)
        assert "net.pth: not usable as weights: " in message
        assert message.isprintable()
        assert len(message) < 500

    return refused


@pytest.mark.parametrize(
    "name", ["torch_archive", "torch_archive_protocol4", "torch_stream"]
)
def test_reads_what_torch_saves(name):
    found = read_torch_file(FIXTURES / f"{name}.pth")
    with np.load(FIXTURES / "torch_values.npz") as expected:
        assert list(found) == expected.files
        for key, value in expected.items():
            assert found[key].dtype == value.dtype, key
            np.testing.assert_array_equal(found[key], value, strict=True)
    assert np.shares_memory(found["base"], found["transposed"])


@WRITERS
@pytest.mark.parametrize("dtype", TYPES)
def test_number_types(write, dtype, read):
    values = np.arange(-3, 5).astype(f"<{dtype}")
    body = state_dict(w=tensor("0", TYPES[dtype], 8, (2, 4), (4, 1)))
    width = {"width": values.itemsize} if write is stream else {}
    found = read(write(body, {"0": values.tobytes()}, **width))["w"]
    np.testing.assert_array_equal(found, values.reshape(2, 4), strict=True)


@pytest.mark.parametrize("order, mark", [(b"little", "<"), (b"big", ">")])
def test_bfloat16_becomes_float32(order, mark, read, monkeypatch):
    monkeypatch.setattr(torch_file, "_CHUNK", 2)
    values = np.float32([1.5, -2, 0.125, 3, 1e30]).view("u4")
    values = (values >> 16 << 16).view("f4")
    data = (values.view("u4") >> 16).astype(f"{mark}u2").tobytes()
    body = state_dict(w=tensor("0", "BFloat16", 5, (5,), (1,)))
    found = read(archive(body, {"0": data}, order=order))["w"]
    np.testing.assert_array_equal(found, values, strict=True)


def test_big_endian(read):
    data = np.arange(4, dtype=">f4").tobytes()
    body = state_dict(w=tensor("0", "Float", 4, (4,), (1,)))
    found = read(archive(body, {"0": data}, order=b"big"))["w"]
    np.testing.assert_array_equal(found, np.arange(4, dtype="f4"), strict=True)


def test_bools_are_zero_or_one(read):
    body = state_dict(w=tensor("0", "Bool", 3, (3,), (1,)))
    found = read(archive(body, {"0": bytes([0, 1, 200])}))["w"]
    assert found.view("u1").tolist() == [0, 1, 1]


@WRITERS
def test_views_and_shared_storages(write, read):
    values = np.arange(12, dtype="<f4")
    body = state_dict(
        whole=tensor("0", "Float", 12, (3, 4), (4, 1)),
        transposed=tensor("0", "Float", 12, (4, 3), (1, 4)),
        column=tensor("0", "Float", 12, (3,), (4,), offset=2),
        scalar=tensor("0", "Float", 12, (), (), offset=11),
        empty=tensor("0", "Float", 12, (0, 5), (5, 1)),
    )
    found = read(write(body, {"0": values.tobytes()}))
    whole = values.reshape(3, 4)
    np.testing.assert_array_equal(found["whole"], whole)
    np.testing.assert_array_equal(found["transposed"], whole.T)
    np.testing.assert_array_equal(found["column"], whole[:, 2])
    assert found["scalar"].shape == () and found["scalar"] == 11
    assert found["empty"].shape == (0, 5)
    assert np.shares_memory(found["whole"], found["transposed"])


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_checkpoints_and_parameters(key, read):
    data = {"0": np.ones(2, "<f4").tobytes()}
    parameter = (
        b"ctorch._utils\n_rebuild_parameter\n"
        + items(tensor("0", "Float", 2, (2,), (1,)), b"\x88", b"}")
        + b"R"
    )
    body = state_dict(
        epoch=number(3), best=b"G" + bytes(8), **{key: state_dict(w=parameter)}
    )
    assert read(archive(body, data))["w"].tolist() == [1, 1]


def test_python2_writes_ordered_dicts_as_lists(read):
    pair = b"](U\x01w" + tensor("0", "Float", 1, (1,), (1,)) + b"e"
    body = b"ccollections\nOrderedDict\n(](" + pair + b"etR"
    assert read(archive(body, {"0": bytes(4)}))["w"].shape == (1,)


def test_files_without_checksums_are_read(read):
    # PyTorch writes 0 for all of them if it is told not to compute them.
    content = example()
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        for info in source.infolist():
            content = content.replace(struct.pack("<I", info.CRC), bytes(4))
    assert read(content)["weight"].shape == (2, 3)


def test_memory_is_the_size_of_the_file(tmp_path):
    path = tmp_path / "net.pth"
    count = 4_000_000
    for kind, width, limit in [("Float", 4, 1.1), ("BFloat16", 2, 2.2)]:
        body = state_dict(w=tensor("0", kind, count, (count,), (1,)))
        for write in (archive, stream):
            extra = {"width": width} if write is stream else {}
            path.write_bytes(write(body, {"0": bytes(count * width)}, **extra))
            _, peak = traced(path)
            assert peak < limit * path.stat().st_size


CANARY = b"Vtouch canary\n"
HOSTILE = {
    "global": b"cos\nsystem\n(" + CANARY + b"tR",
    "global of posix": b"cposix\nsystem\n(" + CANARY + b"tR",
    "stack global": text("os") + text("system") + b"\x93(" + CANARY + b"tR",
    "inst": b"(" + CANARY + b"ios\nsystem\n",
    "obj": b"(cos\nsystem\n" + CANARY + b"o",
    "eval": b"cbuiltins\neval\n(" + CANARY + b"tR",
    "dotted": b"ccollections\nOrderedDict.__class__\n)R",
    "dotted module": b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n",
    "a type called": b"ctorch\nFloatStorage\n)R",
    "newobj": b"ccollections\nOrderedDict\n)\x81",
    "newobj_ex": b"ccollections\nOrderedDict\n)}\x92",
    "build on a name": b"ccollections\nOrderedDict\n}b",
    "build on a builder": b"ctorch._utils\n_rebuild_tensor_v2\n}b",
    "extension": b"\x82\x01",
    "text persistent id": b"Pos\n",
    "module": items(text("module"), text("x"), text("y"), b"N", b"K\x01")
    + b"Q",
    "call of a list": b"])R",
    "append to a name": b"ccollections\nOrderedDict\n](a",
    "items of a list": b"](K\x01K\x02u",
    "odd items": b"}(K\x01u",
    "tuple as key": b"})K\x01s",
    "no mark": b"t",
    "empty stack": b"0R",
    "unknown memo": b"h\x07",
    "view": items(
        text("storage"),
        b"ctorch\nFloatStorage\n",
        text("0"),
        text("cpu"),
        number(1),
        text("view"),
    )
    + b"Q",
    "long text": b"X\xff\xff\xff\x7f",
    "longer text": b"\x8d" + b"\xff" * 7 + b"\x7f",
    "long bytes": b"\x8e" + b"\xff" * 7 + b"\x7f",
    "long number": b"\x8b\xff\xff\xff\x7f",
    "frame": b"\x95" + b"\xff" * 8 + b"\x8e" + b"\xff" * 8,
}


@WRITERS
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_run_nothing(
    write, name, refused, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    refused(write(state_dict(w=HOSTILE[name]), {}), "weights: .")
    refused(write(HOSTILE[name], {}), "weights: .")
    assert not (tmp_path / "canary").exists()


def test_refused_names_are_shown(refused):
    body = b"cos\nsystem\n(" + CANARY + b"tR"
    refused(archive(body, {}), "refers to os.system.*nothing .* was run")
    refused(archive(b"cos\n\x1b[2J\n)R", {}), r"refers to os.\?\[2J")


BOMBS = {
    "deep nesting": (b")" + b"\x85" * 100_000, "not a state dict"),
    "deep key": (b"})" + b"\x85" * 100_000 + b"Ns", "a key of type tuple"),
    "many dicts": (b"}" * 300_000, "more than 200000 instr"),
    "long pickle": (
        (b"X\xff\xff\x00\x00" + bytes(65_535)) * 17,
        "longer|a record of",
    ),
    "wide text": ((text("a" * 60_000 + "\U0001f600")) * 17, "not a state"),
    "copied lists": (
        b"ccollections\nOrderedDict\nq\x00]q\x01("
        + (text("k") + b"N\x86") * 30_000
        + b"e"
        + b"h\x00h\x01\x85R" * 10_000,
        "more than 200000 instr",
    ),
    "doubled tuples": (b")" + b"q\x00h\x00\x86" * 60_000, "not a state dict"),
}


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


@pytest.mark.parametrize(
    "write, name",
    [(archive, name) for name in BOMBS] + [(stream, "long pickle")],
)
def test_bombs_take_little_memory(write, name, tmp_path):
    body, reason = BOMBS[name]
    path = tmp_path / "net.pth"
    path.write_bytes(write(body, {}))
    found, peak = traced(path)
    with pytest.raises(UserError, match=reason):
        raise found
    assert peak < 32 << 20


@WRITERS
def test_sizes_beyond_the_file(write, refused):
    huge = 10**12
    data = {"0": bytes(16)}
    refused(
        write(state_dict(w=tensor("0", "Float", huge, (huge,), (1,))), data),
        "storage '0' (should have 4000000000000|has 4 elements)",
    )
    for size, stride, offset in [
        ((huge,), (1,), 0),
        ((huge,), (0,), 0),
        ((2, 2), (3, 1), 0),
        ((4,), (1,), 1),
        ((1,), (1,), 4),
    ]:
        body = state_dict(w=tensor("0", "Float", 4, size, stride, offset))
        refused(write(body, data), "entry 'w' of shape .* goes beyond")
    for size, stride, offset in [
        ((2,), (-1,), 3),
        ((-2,), (1,), 0),
        ((2,), (1,), -1),
        ((2, 2), (1,), 0),
        ((1,) * 17, (1,) * 17, 0),
        ((1 << 63,), (0,), 0),
    ]:
        body = state_dict(w=tensor("0", "Float", 4, size, stride, offset))
        refused(write(body, data), "entry 'w' has no valid shape")
    for numel in (-4, 1 << 62):
        body = state_dict(w=tensor("0", "Float", numel, (1,), (1,)))
        refused(write(body, data), "more than tensors")


@WRITERS
def test_other_things_are_named(write, refused):
    refused(example(write, epoch=number(3)), "'epoch' is not a tensor .* int")
    refused(write(b"]", {}), "holds a list, not a state dict")
    shared = tensor("0", "Double", 3, (3,), (1,))
    refused(example(write, other=shared), "storage '0' has two types")


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "not a file of torch.save"),
        (b"PK\x03\x04", "not a file of torch.save"),
        (b"\x80\x02K\x01.", "not one of torch.save"),
        (example(stream)[:-1], "storage '1' should have 8 bytes"),
        (example()[:-1], "not a file of torch.save"),
        (example().replace(b"little", b"middle"), "byte order"),
        (example().replace(b"data.pkl", b"data.zip"), "without the data.pkl"),
        (example().replace(b"data/1", b"data/2"), "storage '1' is not in it"),
        (
            example().replace(np.ones(2, "<f4").tobytes(), bytes(8)),
            "storage '1' is damaged",
        ),
    ],
)
def test_damaged_files(content, reason, refused):
    refused(content, reason)


def test_zip_bombs(refused):
    count = 1 << 22
    body = state_dict(w=tensor("0", "Float", count, (count,), (1,)))
    bomb = archive(body, {"0": bytes(4 * count)}, zipfile.ZIP_DEFLATED)
    refused(bomb, "compressed")
    body = state_dict(
        **{f"w{i}": tensor(f"{i}", "Float", 4096, (4096,), (1,)) for i in "012"}
    )
    content = archive(body, {"0": bytes(16384), "1": b"", "2": b""})
    # All three entries of the directory are pointed at the first one's data.
    start = content.rindex(b"PK\x01\x02", 0, content.rindex(b"net/data/1"))
    first = content[content.rindex(b"PK\x01\x02", 0, start) :][:46]
    for key in (b"net/data/1", b"net/data/2"):
        at = content.rindex(key) - 46
        content = content[:at] + first + content[at + 46 :]
    refused(content, "its storages overlap")


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


def mutations(rng):
    streams = (FIXTURES / "torch_stream.pth").read_bytes()
    archives = (FIXTURES / "torch_archive.pth").read_bytes()
    with zipfile.ZipFile(io.BytesIO(archives)) as source:
        entries = {i.filename: source.read(i) for i in source.infolist()}
    for _ in range(200):
        yield mutated(streams, rng)
        yield mutated(archives, rng)
        # The checksums of a whole archive would catch most changes.
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as target:
            for name, data in entries.items():
                if name.endswith("data.pkl"):
                    data = mutated(data, rng)
                target.writestr(name, data)
        yield file.getvalue()


def test_mutated_files_load_or_raise(tmp_path):
    path = tmp_path / "net.pth"
    loaded = refused = 0
    for content in mutations(random.Random(0)):
        path.write_bytes(content)
        found, peak = traced(path)
        assert peak < 1 << 20
        if isinstance(found, UserError):
            refused += 1
            assert str(found).isprintable()
        else:
            loaded += 1
            assert all(isinstance(a, np.ndarray) for a in found.values())
    # Both must happen often, or the changes are too weak or too strong.
    assert min(loaded, refused) > 20
