"""What a report says to do next can be copied, and works."""

import html
import pathlib
import re
import shlex

import PIL.Image
import pytest

from dmg_tf.commands import demo, export, predict
from dmg_tf.console import parser
from dmg_tf.demo.server import DemoServer
from dmg_tf.report.next_steps import next_steps
from dmg_tf.report.run_page import write_run_report
from dmg_tf.report.text import steps_text
from tests.export.helpers import make
from tests.report.runs import write_run

pytestmark = pytest.mark.usefixtures("with_stub")
COMMANDS = {"predict": predict, "demo": demo, "export": export}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's, with a run in it; its name needs quotes."""
    write_run(tmp_path, method="aggregate", name="my run's")
    make("aggregate", "stub", classes=3).save(tmp_path / "my run's/model.keras")
    PIL.Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parser, "_front", "dmg-tf")
    return tmp_path


def test_each_command_works_from_the_users_folder(folder, monkeypatch, capsys):
    def stop(server):
        raise KeyboardInterrupt

    monkeypatch.setattr(DemoServer, "serve_forever", stop)
    run = pathlib.Path("my run's")
    write_run_report(run)
    steps = next_steps(run)
    assert pathlib.Path(*shlex.split(steps["look at it"])).exists()
    done = []
    for what in ("predict", "serve", "export"):
        program, name, *argv = shlex.split(steps[what])
        assert program == "dmg-tf"
        port = ["--port", "0"] * (name == "demo")
        argv = ["a.png" if word == "IMAGES" else word for word in argv]
        assert COMMANDS[name].main([*argv, *port]) == 0
        done.append(name)
    assert done == ["predict", "demo", "export"]
    assert len((folder / "out.csv").read_text().splitlines()) == 2
    assert "serving on http" in capsys.readouterr().out
    # It is there now, and export would refuse to write it again.
    saved = next_steps(run)["for servers"]
    assert (pathlib.Path(*shlex.split(saved)) / "saved_model.pb").exists()


def test_the_page_has_the_same_commands(folder):
    run = pathlib.Path("my run's")
    page = write_run_report(run).read_text("utf-8")
    page = page[page.index("<h2>Next") :]
    shown = re.findall(r"<code>(.*?)</code>", page)[:4]
    assert [html.unescape(each) for each in shown] == [
        *next_steps(run).values()
    ]


def test_in_a_clone(monkeypatch):
    monkeypatch.setattr(parser, "_front", None)
    lines = steps_text(pathlib.Path("r")).splitlines()
    assert lines[2] == "serve:        python -m dmg_tf.demo r"
