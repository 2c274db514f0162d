import pytest

from dmg_tf.errors import UserError
from tests.backbones.weights.torch_files import (
    WRITERS,
    archive,
    items,
    number,
    state_dict,
    stream,
    text,
    traced,
)

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
