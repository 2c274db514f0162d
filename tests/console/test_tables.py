"""Tables fit the room there is, and nothing of them is cut."""

import io
import re

import pytest

from dmg_tf.console.tables import PIPED, Room

DOMAINS = ["art_painting", "cartoon", "photo", "target sketch"]
ROWS = [
    [f"rule {i}", *(f"{100 + 10 * i + j}" for j in range(4))] for i in range(3)
]
HEAD = ["prediction", *DOMAINS]


def words_of(text):
    return re.findall(r"[\w.]+", text)


@pytest.mark.parametrize("width", [30, 40, 50, 80, 200])
@pytest.mark.parametrize("domains", [2, 4])
def test_all_words_are_there(width, domains):
    rows = [row[: domains + 1] for row in ROWS]
    text = Room(width).table(HEAD[: domains + 1], rows)
    assert max(map(len, text.splitlines())) <= width
    for row in rows:
        for cell in row[1:]:
            assert words_of(text).count(cell) == 1
    for name in HEAD[1 : domains + 1]:
        assert all(word in words_of(text) for word in name.split())


def test_wide_enough_is_one_table():
    first, _, *lines = Room(80).table(HEAD, ROWS).splitlines()
    assert first.split() == " ".join(HEAD).split()
    assert [line.split()[2:] for line in lines] == [row[1:] for row in ROWS]


def test_heads_break_between_words_first():
    text = Room(60).table(HEAD, ROWS)
    assert "target\n" in text and "sketch" in text.splitlines()[1]


def test_domains_become_rows_where_columns_do_not_fit():
    names = [f"a_domain_of_some_site_{i}" for i in range(6)]
    rows = [[f"r{i}", *"123456"] for i in range(2)]
    lines = Room(80).table(["", *names], rows).splitlines()
    assert [line.split()[0] for line in lines[2:]] == names
    assert lines[0].split() == ["r0", "r1"]


def test_a_name_wider_than_all_goes_on_below():
    name = "n" * 100
    text = Room(40).table(["", "a"], [[name, "1"], ["b", "2"]])
    assert text.count("n") == 100 and max(map(len, text.split("\n"))) <= 40


def test_bold_and_colour_on_a_terminal_alone(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b" not in Room(80).text("x", "bold")
    terminal = Room(80, terminal=True)
    assert "\x1b[1m" in terminal.text("x", "bold")
    assert "\x1b[33m" in terminal.text("x", "yellow")
    assert "\x1b[1m" in terminal.table(HEAD, ROWS, strong={4})
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[33m" not in terminal.text("x", "yellow")
    assert "\x1b[1m" in terminal.text("x", "bold")


def test_names_are_shown_and_not_obeyed(capsys):
    name = "a\x1b[2J[red]b"
    room = Room(80, terminal=True)
    room.say(room.text(name) + room.table(["", name], [[name, "1"]]))
    shown = capsys.readouterr().out
    assert "\x1b[2J" not in shown and shown.count(r"a\x1b[2J[red]b") == 3


def test_a_pipe_has_eighty_columns(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setenv("COLUMNS", "200")
    assert Room.here() == Room(PIPED) == Room(80)


def test_a_terminal_is_as_wide_as_it_is(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "57")
    assert Room.here() == Room(57, terminal=True)
