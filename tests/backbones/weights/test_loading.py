import io
import json
import random
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from dmg_tf.backbones.weights.loading import (
    assign_torchvision,
    is_keras_weights,
    match_state_dict,
    read_state_dict,
)
from dmg_tf.errors import UserError
from tests.backbones.weights.torch_files import example, mutated, stream

ENTRIES = {
    "conv.weight": np.arange(24, dtype="f4").reshape(2, 3, 2, 2),
    "bn.running_var": np.ones(2, "f8"),
    "bn.num_batches_tracked": np.array(7, "i8"),
}


def safetensors_bytes(header, data=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def npz_bytes(save=np.savez, **arrays):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


@pytest.fixture
def saved(tmp_path):
    def saved(content, name="net.any"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return saved


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


# === Reading ===


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_npz(save, saved):
    assert_same(read_state_dict(saved(npz_bytes(save, **ENTRIES))), ENTRIES)


def test_reads_safetensors(saved):
    path = saved(safetensors.numpy.save(ENTRIES))
    found = read_state_dict(path)
    assert_same({name: found[name] for name in ENTRIES}, ENTRIES)
    header = {"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}
    path = saved(safetensors_bytes(header, b"\xc0\x3f\x00\xc0"))
    assert_same(read_state_dict(path), {"w": np.float32([1.5, -2])})


@pytest.mark.parametrize("content", [example(), example(stream)])
def test_reads_torch_files_whatever_their_name(content, saved):
    found = read_state_dict(saved(content))
    assert found["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_strips_the_prefix_of_data_parallel(saved):
    renamed = {f"module.{name}": array for name, array in ENTRIES.items()}
    assert_same(read_state_dict(saved(npz_bytes(**renamed))), ENTRIES)
    renamed["other"] = np.zeros(1)
    assert list(read_state_dict(saved(npz_bytes(**renamed)))) == list(renamed)


def test_keras_weights_are_known_by_name_and_content(saved, tmp_path):
    hdf5 = b"\x89HDF\r\n\x1a\n" + bytes(8)
    assert is_keras_weights(saved(hdf5, "net.weights.h5"))
    assert not is_keras_weights(saved(hdf5, "net.h5"))
    assert not is_keras_weights(saved(b"PK", "other.weights.h5"))
    assert not is_keras_weights(tmp_path / "missing.weights.h5")


OBJECTS = npz_bytes(w=np.array([{}], object))
LONG_HEADER = np.lib.format.magic(1, 0) + struct.pack("<H", 9000) + b"(" * 9000


def npz_of(data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("w.npy", data)
    return file.getvalue()


def npy_of(shape, dtype="<f4"):
    file = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "not a weights file; known: torch.save"),
        (b"version https://git-lfs.github.com/spec/v1", "not a weights file"),
        (b"\x89HDF\r\n\x1a\n", "has to end in .weights.h5"),
        (npz_bytes(), "not a weights file"),
        (OBJECTS, "'w.npy' holds no numbers"),
        (npz_bytes(w=np.array(["text"])), "'w.npy' holds no numbers"),
        (npz_of(npy_of((10**12,))), "'w.npy' is not as large as it says"),
        (npz_of(npy_of((-1, -1)) + bytes(4)), "not as large as it says"),
        (npz_of(LONG_HEADER), "not usable as weights"),
        (
            npz_bytes(np.savez_compressed, w=np.zeros(1 << 20)),
            "unpacks to more than twice",
        ),
        (safetensors_bytes({}), "it holds no tensors"),
        (
            safetensors.numpy.save({"w": np.zeros(1, "c8")}),
            "entry 'w' is of type C64",
        ),
        (safetensors.numpy.save(ENTRIES)[:-1], "not usable as weights"),
        (
            safetensors_bytes(
                {
                    "w": {
                        "dtype": "F32",
                        "shape": [10**12],
                        "data_offsets": [0, 4 * 10**12],
                    }
                }
            ),
            "not usable as weights",
        ),
        (example() + bytes(70_000), "not a file of torch.save"),
    ],
)
def test_refused_files(content, reason, saved):
    with pytest.raises(UserError, match=f"net.any: .*{reason}") as caught:
        read_state_dict(saved(content))
    assert str(caught.value).isprintable()


def test_refused_paths(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_state_dict(tmp_path / "missing.pth")
    with pytest.raises(UserError, match="Is a directory"):
        read_state_dict(tmp_path)


def test_mutated_files_load_or_raise(saved):
    rng = random.Random(1)
    originals = [
        npz_bytes(**ENTRIES),
        npz_bytes(np.savez_compressed, **ENTRIES),
        safetensors.numpy.save(ENTRIES),
        example(stream),
    ]
    for content in originals:
        read_state_dict(saved(content))  # Imports are not to be measured.
    loaded = 0
    for index in range(400):
        path = saved(mutated(originals[index % len(originals)], rng))
        tracemalloc.start()
        try:
            loaded += bool(read_state_dict(path))
        except UserError as error:
            assert str(error).isprintable()
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < 1 << 20
    assert 20 < loaded < 380


# === Matching ===

EXPECTED = {"conv.weight": (2, 3), "fc.weight": (5, 2), "fc.bias": (5,)}
HEAD = ("fc.weight", "fc.bias")


def given(**changes):
    shapes = EXPECTED | {"conv.num_batches_tracked": ()}
    shapes |= {name.replace("_", "."): shape for name, shape in changes.items()}
    return {
        name: np.ones(shape, "f4")
        for name, shape in shapes.items()
        if shape is not None
    }


def match(state_dict):
    return match_state_dict(
        state_dict, EXPECTED, classifier=HEAD, source="net.pth"
    )


def test_match_keeps_the_expected_entries_without_a_copy():
    state_dict = given()
    found = match(state_dict)
    assert list(found) == list(EXPECTED)
    assert found["conv.weight"] is state_dict["conv.weight"]
    state_dict["fc.bias"] = np.ones(5, "f8")
    assert match(state_dict)["fc.bias"].dtype == np.float32


def test_match_leaves_out_a_classifier_of_other_classes():
    found = match(given(fc_weight=(1000, 2), fc_bias=(1000,)))
    assert list(found) == ["conv.weight"]


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"conv_weight": None}, r"1 missing: conv.weight \(2, 3\)$"),
        ({"aux_bias": (4,)}, r"1 left over: aux.bias \(4,\)$"),
        (
            {"conv_weight": (3, 2)},
            r"1 of another shape: conv.weight \(3, 2\), expected \(2, 3\)$",
        ),
        ({"conv_weight": ()}, r"conv.weight \(\), expected \(2, 3\)$"),
        ({"fc_weight": (1000, 3)}, r"fc.weight \(1000, 3\), expected"),
        ({"fc_weight": (1000, 2)}, r"fc.weight \(1000, 2\), expected"),
        ({"fc_bias": None}, r"1 missing: fc.bias"),
        (
            {f"a{i}": (1,) for i in range(9)} | {"fc_bias": None},
            r"1 missing: .* \| 9 left over: a0 \(1,\); a1 .*; a2 .*; \.\.\.",
        ),
    ],
)
def test_match_names_what_does_not_fit(changes, reason):
    with pytest.raises(UserError, match=f"net.pth: .*{reason}"):
        match(given(**changes))


def test_assigning_transposes_and_keeps_another_classifier():
    kernel, head = tf.Variable(tf.zeros((5, 4, 3, 2))), tf.Variable([1.0, 2.0])
    entries = {"conv.weight": (kernel, (2, 3, 1, 0)), "fc.bias": (head, (0,))}
    # PyTorch has (filters, channels, height, width).
    array = np.arange(120, dtype="f4").reshape(2, 3, 5, 4)
    state = {"conv.weight": array, "fc.bias": np.zeros(7, "f4")}
    assign_torchvision(entries, state, classifier=("fc.bias",), source="x.pth")
    np.testing.assert_array_equal(kernel, array.transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(head, [1, 2])
    with pytest.raises(UserError, match="x.pth: .*of another shape: fc.bias"):
        assign_torchvision(entries, state, classifier=(), source="x.pth")
