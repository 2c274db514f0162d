"""Terminals, users and networks that are not as they usually are."""

import http.client
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from dmg_tf.commands import check_data, evaluate, train
from dmg_tf.console import parser
from dmg_tf.console.printable import show_anything
from dmg_tf.data.shapes.dataset import ensure_shapes
from dmg_tf.data.streams.cache import default_folder
from dmg_tf.demo import handler
from dmg_tf.demo.server import DemoServer
from dmg_tf.errors import UserError
from tests.conftest import ROOT, write_images

pytestmark = pytest.mark.usefixtures("with_stub")


# === Output that is no UTF-8 ===


@pytest.fixture
def output_as(monkeypatch):
    """Puts streams of an encoding in the place of the standard ones."""

    def put(encoding):
        for name in ("stdout", "stderr"):
            stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
            monkeypatch.setattr(sys, name, stream)
        return sys.stdout, sys.stderr

    return put


def text_of(stream):
    stream.flush()
    return stream.buffer.getvalue().decode(stream.encoding)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_what_an_output_has_not_is_replaced(output_as, encoding):
    out, _ = output_as(encoding)
    show_anything()
    print("┌──┐ 1 … 2 → 名")
    plain = "+--+ 1 ... 2 -> \\u540d\n"
    if encoding == "cp1252":
        plain = plain.replace("...", "…")
    assert text_of(out).replace(os.linesep, "\n") == plain


def test_commands_print_in_any_encoding(tmp_path, output_as):
    data = write_images(tmp_path / "data", "abc", ("größe", "名"), 4, 32)
    out, err = output_as("ascii")
    assert check_data.main([str(data), "--fast"]) in (0, 1)
    argv = [
        *("--data", str(data), "--target", "c", "--backbone", "stub"),
        *("--weights", "none", "--image-size", "32", "--epochs", "1"),
        *("--output", str(tmp_path / "run"), "--method", "aggregate"),
    ]
    assert train.main(argv) == 0, text_of(err)
    assert evaluate.main([str(tmp_path / "run")]) == 0
    assert "Pred-Ens" in text_of(out)


# === No home ===


def test_a_user_without_a_home(monkeypatch):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    for name in ("KERAS_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pathlib.Path, "home", unknown)
    with pytest.raises(UserError, match="set KERAS_HOME .* or give --data"):
        ensure_shapes()
    with pytest.raises(UserError, match="set XDG_CACHE_HOME .* --cache-dir"):
        default_folder()


def test_the_advice_for_no_home_works(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = ensure_shapes(images_per_class=1)
    assert folder.is_relative_to(tmp_path / "keras")
    assert default_folder().is_relative_to(tmp_path / "cache")


# === Advice ===


def test_a_bad_image_of_other_data_can_be_skipped(tmp_path, capsys):
    data = write_images(tmp_path / "data", "abc", ("x", "y"), 6, 32)
    new = write_images(tmp_path / "new", "abc", ("x", "y"), 6, 32, seed=1)
    (new / "c" / "x" / "0.png").write_bytes(b"junk")
    run = tmp_path / "run"
    argv = [
        *("--data", str(data), "--target", "c", "--backbone", "stub"),
        *("--weights", "none", "--image-size", "32", "--epochs", "1"),
        *("--output", str(run), "--method", "aggregate"),
    ]
    assert train.main(argv) == 0
    argv = [str(run), "--data", str(new)]
    capsys.readouterr()
    assert evaluate.main(argv) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "c/x/0.png" in line
    advised = line.rpartition("pass ")[2].split()
    assert advised == ["--on-bad-image", "skip"]
    assert evaluate.main([*argv, *advised, "--json"]) == 0
    printed = capsys.readouterr()
    assert "1 unreadable" in printed.err or "left out" in printed.err
    found = json.loads(printed.out)
    assert found["counts"]["out_of_domain"] == {"c": 11}
    assert [pathlib.Path(p).name for p in found["bad_images"]] == ["0.png"]


def test_only_a_flag_that_there_is_is_advised(monkeypatch):
    monkeypatch.setattr(parser, "_offered", set())
    assert not parser.offers("--on-bad-image")
    evaluate.make_parser().parse_args(["run"])
    assert parser.offers("--on-bad-image") and not parser.offers("--epochs")


# === Interrupted early ===


@pytest.mark.parametrize("wait", [0.02, 0.15])
def test_interrupted_while_it_starts(wait):
    process = subprocess.Popen(
        [sys.executable, "train.py", "--target", "sketch", "--epochs", "0x"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        # As from a terminal, whoever started the tests.
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),
    )
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    # No traceback from within the package; Python shows its own until the first
    # import of ours is done.
    assert f'File "{ROOT}/dmg_tf/' not in said, said


# === The demo ===


class Predictor:
    def predict(self, contents):
        return {"class_name": "x"}


@pytest.fixture
def server():
    server = DemoServer("127.0.0.1", 0, 1_000_000)
    server.predictor = Predictor()
    yield server
    server.server_close()


def test_connections_queue_while_it_is_busy(server):
    answers = []

    def client():
        connection = http.client.HTTPConnection(
            "127.0.0.1", server.server_address[1], timeout=60
        )
        connection.request("POST", "/predict", bytes(100_000))
        answers.append(connection.getresponse().status)

    clients = [threading.Thread(target=client) for _ in range(50)]
    for thread in clients:
        thread.start()
    time.sleep(0.5)  # nobody accepts meanwhile
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    for thread in clients:
        thread.join(60)
    server.shutdown()
    assert answers == [200] * 50


def test_a_client_that_trickles_is_cut_off(server, monkeypatch):
    monkeypatch.setattr(handler, "_LONGEST", 0.3)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connection = http.client.HTTPConnection(
        "127.0.0.1", server.server_address[1], timeout=20
    )
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", "1000")
    connection.endheaders()
    begin = time.monotonic()
    with pytest.raises((OSError, http.client.HTTPException)):
        for _ in range(100):
            connection.send(b"x")
            time.sleep(0.1)
        connection.getresponse()
    assert time.monotonic() - begin < 9
    server.shutdown()


def test_more_clients_than_threads_are_told(server):
    while server._free.acquire(blocking=False):
        pass
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connection = http.client.HTTPConnection(
        "127.0.0.1", server.server_address[1], timeout=20
    )
    connection.request("GET", "/")
    assert connection.getresponse().status == 503
    server.shutdown()
