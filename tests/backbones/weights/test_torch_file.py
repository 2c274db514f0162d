"""The fixtures were written by torch.save of PyTorch 2.14.1: random numbers.

All other files are put together by `torch_files`.
"""

import io
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dmg_tf.backbones.weights import torch_file
from dmg_tf.backbones.weights.torch_file import read_torch_file
from dmg_tf.errors import UserError
from tests.backbones.weights.torch_files import (
    WRITERS,
    archive,
    example,
    items,
    mutated,
    number,
    state_dict,
    stream,
    tensor,
    traced,
)

FIXTURES = Path(__file__).parent / "fixtures"
TYPES = {"f4": "Float", "f8": "Double", "f2": "Half", "i8": "Long"}


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
