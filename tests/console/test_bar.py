import pytest

from dmg_tf.console import bar as bar_module
from dmg_tf.console.bar import Bar, be_silent


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves a minute whenever it is read."""
    times = iter(range(0, 6000, 60))
    monkeypatch.setattr(bar_module.time, "monotonic", lambda: next(times))


@pytest.mark.parametrize(
    "total, unit, line",
    [
        (4, "images", "reading: 1/4 images, 0:03:00 left"),
        (4_000_000, "bytes", "reading: 1.0/4.0 MB, 0:03:00 left"),
        (None, "bytes", "reading: 1.0 MB"),
    ],
)
def test_a_log_gets_whole_lines(total, unit, line, clock, capsys):
    with Bar("reading", total, unit) as bar:
        bar.advance(1 if unit == "images" else 1_000_000)
    assert capsys.readouterr().err == line + "\n"


def test_other_processes_say_nothing(clock, capsys):
    be_silent()
    try:
        with Bar("reading", 4, "images") as bar:
            bar.advance()
            bar.print("a word")
    finally:
        be_silent(False)
    assert capsys.readouterr().err == ""
