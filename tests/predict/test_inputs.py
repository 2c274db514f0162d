"""Which images are meant by files, folders, patterns and lists."""

import io
import os

import pytest

from dmg_tf.errors import UserError
from dmg_tf.predict.inputs import MAX_BYTES, collect_paths, why_not_a_file


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with all kinds of names."""
    for name in (
        "d/b.jpg",
        "d/a/2.PNG",
        "d/a/10.tiff",
        "d/a-b/x.webp",
        "d/a/ü, \n☃.jpeg",
        "d/notes.txt",
        "d/.hidden.jpg",
        "d/.git/x.jpg",
        "e/z.gif",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


BELOW_D = [
    "d/a-b/x.webp",
    "d/a/10.tiff",
    "d/a/2.PNG",
    "d/a/ü, \n☃.jpeg",
    "d/b.jpg",
]


@pytest.mark.parametrize(
    "places, expected",
    [
        (["d"], BELOW_D),
        (["d/"], BELOW_D),
        (["d/a"], BELOW_D[1:4]),
        (["./e"], ["./e/z.gif"]),
        (["e", "d/a-b"], ["e/z.gif", "d/a-b/x.webp"]),  # as they are given
        (["d/notes.txt"], ["d/notes.txt"]),  # a file is taken as it is
        (["e/z.gif", "e/z.gif"], ["e/z.gif", "e/z.gif"]),
        (["d/*"], BELOW_D),  # the folders that it matches too
        (["d/**"], BELOW_D),  # and none twice
        (["**/*.[jw]*"], ["d/a-b/x.webp", "d/a/ü, \n☃.jpeg", "d/b.jpg"]),
        (["*/a*"], BELOW_D[:4]),
    ],
)
def test_order_of_what_is_found(folder, places, expected):
    found = collect_paths(places)
    assert list(found) == expected == list(found)  # a second time too
    assert len(found) == len(expected)


def test_a_folder_is_in_the_order_of_its_paths(folder):
    found = list(collect_paths(["d", "e"]))
    assert found == sorted(found)


def test_others_are_counted(folder):
    found = collect_paths(["d"])
    assert found.left_out == {"not_images": 1, "hidden": 2}
    assert found.note() == "1 file that is no image, 2 hidden"
    assert collect_paths(["d/*"]).left_out == {"not_images": 1}
    assert collect_paths(["e"]).note() == ""


def test_a_name_that_looks_like_a_pattern(folder):
    (folder / "e" / "x[1].png").touch()
    assert list(collect_paths(["e/x[1].png"])) == ["e/x[1].png"]
    (folder / "d [2020]" / "x").mkdir(parents=True)
    (folder / "d [2020]" / "x" / "1.png").touch()
    there = ["d [2020]/x/1.png"]
    for pattern in ("d [2020]/*/*.png", "d [2020]/**", "./d [2020]/x/?.png"):
        found = list(collect_paths([pattern]))
        assert [path.removeprefix("./") for path in found] == there
    with pytest.raises(UserError, match=r"\[\[\] for a bracket"):
        collect_paths(["d [2021]/*.png"])


def test_a_loop_of_links_ends_and_a_broken_link_is_kept(folder):
    os.symlink("..", folder / "d" / "a" / "up")
    os.symlink("nowhere", folder / "d" / "c.jpg")
    found = collect_paths(["d"])
    assert list(found) == [*BELOW_D, "d/c.jpg"]
    assert "1 link to a folder above" in found.note()


def test_a_name_that_is_no_text(folder):
    name = b"e/\xff\x80.png"
    open(name, "w").close()
    found = list(collect_paths(["e"]))
    assert [os.fsencode(path) for path in found] == [b"e/z.gif", name]


def test_lists(folder, monkeypatch):
    lines = b"\xef\xbb\xbfd/b.jpg\r\n\nnot there.jpg \n\xff.png\nd\n*.jpg"
    expected = ["d/b.jpg", "not there.jpg ", os.fsdecode(b"\xff.png"), "d"]
    expected.append("*.jpg")  # a list names files
    (folder / "list").write_bytes(lines)
    assert list(collect_paths([], ["list"])) == expected
    assert list(collect_paths(["e"], ["list"])) == ["e/z.gif", *expected]

    (folder / "quoted").write_text('"e/z.gif"\ne/z.gif \t\n"no.gif"\n')
    found = list(collect_paths([], ["quoted"]))
    assert found == ["e/z.gif", "e/z.gif", '"no.gif"']
    (folder / "wide").write_text("e/z.gif\n", "utf-16")
    with pytest.raises(UserError, match="wide: it is UTF-16; save it as UTF-8"):
        collect_paths([], ["wide"])

    class Stdin:
        buffer = io.BytesIO(lines)

    monkeypatch.setattr("sys.stdin", Stdin)
    assert list(collect_paths(["-", "e"])) == [*expected, "e/z.gif"]


@pytest.mark.parametrize(
    "places, lists, message",
    [
        (["d", "q.jpg"], [], "there is no q.jpg"),
        (["d/**/*.bmp"], [], r"nothing matches d/\*\*/\*.bmp"),
        (["empty"], [], "no images found in empty; expected .* .jpeg"),
        (["d/n*", "empty"], [], r"no images found in d/n\*, empty"),
        ([], ["q.txt"], "cannot read the list q.txt: No such file"),
        ([], ["d"], "cannot read the list d: Is a directory"),
        ([], ["d/notes.txt"], "no images found in d/notes.txt"),
    ],
)
def test_mistakes(folder, places, lists, message):
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        collect_paths(places, lists)


def test_a_full_disk(folder, monkeypatch):
    full = open("/dev/full", "w", buffering=1)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda *args, **kwargs: full)
    with pytest.raises(UserError, match="cannot keep the list .* No space"):
        collect_paths(["d"])


def test_why_not_a_file(folder):
    os.mkfifo("pipe.jpg")
    with open("large.jpg", "wb") as file:
        file.truncate(MAX_BYTES + 1)  # takes no room
    assert why_not_a_file("e/z.gif") == ""
    assert why_not_a_file("pipe.jpg") == "it is not a regular file"
    assert why_not_a_file("d") == "it is a folder"
    assert why_not_a_file("q.jpg") == "No such file or directory"
    assert why_not_a_file("q\0.jpg") == "embedded null byte"
    assert why_not_a_file("large.jpg") == "it is larger than 1 GiB"
