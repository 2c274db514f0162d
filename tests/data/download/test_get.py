"""A dataset is got from a server of this machine, whatever that does."""

import dataclasses
import errno
import hashlib
import http.server
import io
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import zipfile

import pytest

from dmg_tf.commands import get_data
from dmg_tf.data.datasets import folder
from dmg_tf.data.datasets.published import PublishedFile
from dmg_tf.data.download import transfer
from dmg_tf.data.download.get import get_dataset, obtainable
from dmg_tf.errors import UserError
from dmg_tf.registry import DATASETS
from tests.conftest import ROOT
from tests.helpers import serving

PAGE = "https://page.invalid/"
IMAGES = {
    f"set/{domain}/{name}/{i}.png": random.Random(f"{domain}{i}").randbytes(
        9000
    )
    for domain in ("a b", "c")
    for name in ("x", "y")
    for i in range(3)
}


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, contents in files.items():
            archive.writestr(name, contents)
    return buffer.getvalue()


def tarred(files, link=None):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, contents in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(contents)
            if name == link:
                entry.type, entry.size = tarfile.SYMTYPE, 0
                entry.linkname = "/etc"
            archive.addfile(entry, io.BytesIO(contents))
    return buffer.getvalue()


ZIP = zipped({"set/": b"", **IMAGES, "set/notes.txt": b"left out"})
LIST = b"a list\n" * 10
FOLDERS = {"set/a b": "a b", "set/c": "c"}
ARCHIVE = PublishedFile(
    name="set.zip",
    page=PAGE,
    url="http://unused.invalid/set.zip",
    size=len(ZIP),
    checksum=f"sha256:{hashlib.sha256(ZIP).hexdigest()}",
    folders=FOLDERS,
)
TEXT = PublishedFile(
    name="list.txt",
    page=PAGE,
    url="http://unused.invalid/list.txt",
    size=len(LIST),
    checksum=f"md5:{hashlib.md5(LIST).hexdigest()}",
)
TOY = dataclasses.replace(
    folder.SPEC, title="Toy", fallback=False, files=(TEXT, ARCHIVE)
)


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    """Knows the dataset "toy"; returns what changes its files."""
    monkeypatch.setenv("no_proxy", "*")

    def change(*files):
        monkeypatch.setitem(
            globals(), "TOY", dataclasses.replace(TOY, files=files)
        )

    with DATASETS.with_name("toy", f"{__name__}:TOY"):
        yield change


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends what `server.contents` holds, and less of it as it is told."""

    def do_GET(self):
        server = self.server
        name = self.path.rpartition("/")[2]
        asked = self.headers.get("Range")
        server.asked.append((name, asked))
        if name not in server.contents:
            self.send_error(404)
            return
        contents = server.contents[name]
        begin = 0
        if asked and server.ranges:
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
        if begin >= len(contents):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(contents)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if asked and server.ranges else 200)
        if asked and server.ranges:
            end = len(contents) - 1
            self.send_header(
                "Content-Range", f"bytes {begin}-{end}/{len(contents)}"
            )
        self.send_header("Content-Length", str(len(contents) - begin))
        self.end_headers()
        limit = server.limits.pop(0) if server.limits else None
        self.wfile.write(contents[begin:][:limit])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """Serves `server.contents`; lists the names and ranges that were asked."""
    with serving(Handler) as server:
        server.contents = {"set.zip": ZIP, "list.txt": LIST}
        server.asked, server.ranges = [], True
        server.limits = []  # bytes that answers send, one after another
        server.url += "/mirror/"
        yield server


def assert_whole(root):
    found = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }
    images = {n.removeprefix("set/"): data for n, data in IMAGES.items()}
    assert found == {**images, "list.txt": LIST}


def test_all_of_it_once(server, tmp_path, capsys):
    root = tmp_path / "new" / "toy set"
    argv = ["toy", "--to", str(root), "--from", server.url]
    assert get_data.main(argv) == 0
    assert_whole(root)
    printed = capsys.readouterr()
    assert printed.out == (
        f"{root} now holds Toy\n"
        f"check it: dmg-tf check '{root}' --dataset toy\n"
        f"train:    dmg-tf train --data '{root}' --dataset toy --target c\n"
    )
    assert f"downloading {server.url}set.zip" in printed.err
    assert server.asked == [("list.txt", None), ("set.zip", None)]
    assert get_data.main(argv) == 0
    assert capsys.readouterr().out.startswith(f"{root} holds Toy\n")
    assert len(server.asked) == 2
    # What a process leaves that is killed just before it is done.
    (root / "set.zip.part").write_bytes(ZIP)
    shutil.rmtree(root / "c")
    get_dataset("toy", root, "http://127.0.0.1:1/")
    assert_whole(root)


@pytest.mark.parametrize("ranges", [True, False])
def test_it_goes_on_where_it_was_broken_off(server, ranges, tmp_path):
    (tmp_path / "set.zip.part").write_bytes(ZIP[:20_000])
    server.ranges = ranges
    get_dataset("toy", tmp_path, server.url)
    assert_whole(tmp_path)
    assert server.asked[1:] == [("set.zip", "bytes=20000-")]


def test_connections_that_break_are_made_again(server, tmp_path):
    server.limits = [None, 30_000, 30_000]
    get_dataset("toy", tmp_path, server.url)
    assert_whole(tmp_path)
    asked = [None, None, "bytes=30000-", "bytes=60000-"]
    assert [range_ for _, range_ in server.asked] == asked


def test_a_server_that_always_ends_too_early(server, tmp_path):
    server.ranges, server.limits = False, [None, 100, 100]
    with pytest.raises(UserError, match="sent 100 of") as caught:
        get_dataset("toy", tmp_path, server.url)
    assert len(server.asked) == 3
    message = str(caught.value)
    assert message.isprintable() and f"{server.url}set.zip" in message
    assert f"get set.zip at {PAGE} and put it at {tmp_path}/set.zip" in message
    assert sorted(os.listdir(tmp_path)) == ["list.txt", "set.zip.part"]
    server.limits = [None]
    get_dataset("toy", tmp_path, server.url)
    assert_whole(tmp_path)


@pytest.mark.parametrize("known", [True, False])
def test_a_part_that_is_too_long(server, known, toy, tmp_path):
    toy(TEXT, ARCHIVE if known else dataclasses.replace(ARCHIVE, size=None))
    (tmp_path / "set.zip.part").write_bytes(ZIP + b"more")
    get_dataset("toy", tmp_path, server.url)
    assert_whole(tmp_path)


def test_what_nothing_is_known_of(server, toy, tmp_path, capsys):
    toy(TEXT, dataclasses.replace(ARCHIVE, size=None, checksum=None))
    (tmp_path / "set.zip.part").write_bytes(ZIP)  # whole, but who knows
    get_dataset("toy", tmp_path, server.url)
    assert_whole(tmp_path)
    note = "note: no checksum of set.zip is known; nothing was checked"
    assert note in capsys.readouterr().err


@pytest.mark.parametrize(
    "contents, reason",
    [
        (ZIP[::-1], "sent is not the published file and was removed: its SHA"),
        (b"<html>moved</html>", "it has 18 bytes there, not "),
        (None, "404"),
    ],
    ids=["other contents", "other size", "not there"],
)
def test_another_file_is_told(contents, reason, server, tmp_path, capsys):
    del server.contents["set.zip"]
    if contents:
        server.contents["set.zip"] = contents
    argv = ["toy", "--to", str(tmp_path), "--from", server.url]
    assert get_data.main(argv) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert reason in line
    assert f"get set.zip at {PAGE} and put it at {tmp_path}/set.zip" in line
    assert os.listdir(tmp_path) == ["list.txt"]  # which is not fetched again
    server.contents["set.zip"] = ZIP
    assert get_data.main(argv) == 0
    assert [name for name, _ in server.asked].count("list.txt") == 1


def test_without_a_server(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UserError, match="refused.*put it at"):
        get_dataset("toy", tmp_path / "new", url)
    with pytest.raises(UserError, match="unknown url type"):
        get_dataset("toy", tmp_path / "new", "not-a-url")
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(transfer, "_TIMEOUT_SECONDS", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match="timed out.*put it at"):
            get_dataset("toy", tmp_path, url)


def test_what_a_browser_gets(toy, server, tmp_path):
    toy(dataclasses.replace(ARCHIVE, url=None))
    place = tmp_path / "set.zip"
    with pytest.raises(UserError, match=f"browser only.*put it at {place}"):
        get_dataset("toy", tmp_path)
    place.write_bytes(ZIP[:-1])
    with pytest.raises(UserError, match="not the published file: it has"):
        get_dataset("toy", tmp_path)
    place.write_bytes(ZIP)
    get_dataset("toy", tmp_path)
    place.unlink()  # it is the user's, so it stayed
    (tmp_path / "list.txt").write_bytes(LIST)
    assert_whole(tmp_path)
    get_dataset("toy", tmp_path / "mirrored", server.url)
    assert server.asked == [("set.zip", None)]


@pytest.mark.parametrize(
    "contents, reason",
    [
        (zipped({**IMAGES, "set/c/../../../evil": b""}), "leads out of its"),
        (zipped({**IMAGES, "/evil": b""}), "leads out of its folder"),
        (tarred({**IMAGES, "../evil": b""}), "leads out of its folder"),
        (tarred({**IMAGES, "set/c/l": b""}, "set/c/l"), "is a link or a"),
        (tarred({"set/c/x/1.png": b"1"}), "has no folder 'set/a b'"),
        (ZIP[: len(ZIP) // 2], "cannot unpack"),
        (tarred(IMAGES)[:-20_000], "cannot unpack"),
        (b"<html></html>", "cannot unpack"),
    ],
)
def test_no_archive_leads_elsewhere(contents, reason, toy, server, tmp_path):
    server.contents["set.zip"] = contents
    toy(dataclasses.replace(ARCHIVE, size=None, checksum=None))
    root = tmp_path / "root" / "toy"
    with pytest.raises(UserError, match=reason) as caught:
        get_dataset("toy", root, server.url)
    assert "\n" not in str(caught.value)
    assert os.listdir(root) == ["set.zip.part"]
    assert os.listdir(tmp_path) == ["root"]


@pytest.mark.parametrize("name", ["a.tar.gz", "all"])
def test_tar_files_and_whole_archives(name, toy, server, tmp_path):
    server.contents[name] = tarred({f"./{n}": c for n, c in IMAGES.items()})
    folders = FOLDERS if name != "all" else {"": "everything"}
    toy(PublishedFile(name=name, page=PAGE, folders=folders))
    get_dataset("toy", tmp_path, server.url)
    where = tmp_path / ("everything/set" if name == "all" else "")
    contents = (where / "c" / "y" / "2.png").read_bytes()
    assert contents == IMAGES["set/c/y/2.png"]


def test_room_is_looked_for_first(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    free = len(ZIP) + len(LIST)  # but none to unpack
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: usage._replace(free=free)
    )
    with pytest.raises(UserError, match="needs 0.0 GB to download and to unp"):
        get_dataset("toy", tmp_path, server.url)
    assert server.asked == []


@pytest.mark.parametrize("step", ["downloading", "unpacking"])
def test_a_full_disk(step, server, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if step == "unpacking":
            patch.setattr(shutil, "copyfileobj", full)
        else:

            class Full(io.BytesIO):
                write = full

            patch.setattr(transfer, "open", lambda *_: Full(), raising=False)
        with pytest.raises(UserError, match="the disk is full") as caught:
            get_dataset("toy", tmp_path, server.url)
    assert str(tmp_path) in str(caught.value)
    assert not (tmp_path / "a b").exists() and not (tmp_path / "c").exists()
    get_dataset("toy", tmp_path, server.url)
    assert_whole(tmp_path)


# Without what the tests import, it takes no time.
KILLED = """
import dmg_tf_command
import os, shutil, signal, sys
from dmg_tf.data.datasets.published import PublishedFile
from dmg_tf.data.download.get import _Getting
import pathlib
calls = []
copy = shutil.copyfileobj
def last(*args):
    calls.append(1)
    if len(calls) == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    copy(*args)
shutil.copyfileobj = last
root, mirror, file = sys.argv[1:]
_Getting(pathlib.Path(root), [eval(file)], mirror).run()
"""


def test_a_kill_in_the_middle_of_unpacking(server, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), server.url, str(ARCHIVE)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    names = {path.name for path in tmp_path.iterdir()}
    assert not names & {"a b", "c"} and "set.zip.part" in names
    assert any(name.endswith("-a b") for name in names)
    get_dataset("toy", tmp_path, server.url)
    assert_whole(tmp_path)
    assert [name for name, _ in server.asked] == ["set.zip", "list.txt"]


def test_the_published_files_are_well_described():
    assert {"pacs", "domainnet"} <= set(obtainable())
    for name in set(obtainable()) - {"toy"}:
        files = DATASETS[name].files
        gives = [path for file in files for path in file.gives]
        assert len(set(gives)) == len(gives)
        assert len({file.name for file in files}) == len(files)
        for file in files:
            assert file.page.startswith("http")
            assert file.url is None or file.url.startswith("http")
            assert not pathlib.PurePath(file.name).is_absolute()
            if file.checksum:
                kind, _, digits = file.checksum.partition(":")
                assert len(digits) == 2 * hashlib.new(kind).digest_size
                int(digits, 16)


def test_the_lists_of_pacs_are_beside_its_folders():
    (file,) = DATASETS["pacs"].files
    assert set(file.gives) == {
        *("art_painting", "cartoon", "photo", "sketch", "splits")
    }


def test_mistakes_of_the_command_line(capsys):
    with pytest.raises(SystemExit):
        get_data.main(["pcas", "--to", "x"])
    assert "choose from" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        get_data.main(["toy"])
    assert "--to" in capsys.readouterr().err
