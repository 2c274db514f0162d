"""Command lines: mistyped flags, how programs were started, how they end."""

import os
import signal
import subprocess
import sys
import time

import pytest

from dmg_tf.commands import main as main_module
from dmg_tf.console import parser as parser_module
from dmg_tf.console.parser import CHECKOUT, OneLineParser, command, started_by
from dmg_tf.errors import UserError
from tests.conftest import ROOT

# What pip writes into the script `dmg-tf`.
INSTALLED = "import sys; from dmg_tf_command import main; sys.exit(main())"


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    """Forgets after a test how its program was started."""
    monkeypatch.setattr(parser_module, "_front", parser_module._front)
    monkeypatch.setattr(parser_module, "_running", None)


def make_parser():
    parser = OneLineParser(prog="prog")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--target", required=True)
    parser.add_argument("names", nargs="*")
    return parser


@pytest.mark.parametrize(
    "argv, message",
    [
        # told before the target that is missing
        (["--epohs", "3"], "--epohs; did you mean --epochs?"),
        (["--epohs=3"], "--epohs; did you mean --epochs?"),
        (["--target", "a", "--lambda", "1"], "--lambda"),
    ],
)
@pytest.mark.parametrize("parse", ["parse_args", "parse_intermixed_args"])
def test_an_unknown_flag_is_told_first(capsys, argv, message, parse):
    with pytest.raises(SystemExit) as end:
        getattr(make_parser(), parse)(argv)
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        f"error: unrecognized arguments: {message} (see prog --help)\n"
    )


def test_what_argparse_understands_is_left_to_it():
    args = make_parser().parse_args(["--epochs", "3", "--target=a", "-0.5"])
    assert args.epochs == 3 and args.target == "a" and args.names == ["-0.5"]
    args = make_parser().parse_args(["--target", "a", "--", "--epohs"])
    assert args.names == ["--epohs"]


def test_the_beginning_of_a_flag_is_not_taken_for_it(capsys):
    with pytest.raises(SystemExit):
        make_parser().parse_args(["--target", "a", "--epoch", "3"])
    line = capsys.readouterr().err
    assert "unrecognized arguments: --epoch; did you mean --epochs?" in line


def test_flags_of_parts_are_known(capsys):
    parser = OneLineParser(prog="prog")
    part = parser.add_subparsers(dest="part").add_parser("worker")
    part.add_argument("--dispatcher")
    argv = ["worker", "--dispatcher", "here"]
    assert parser.parse_args(argv).dispatcher == "here"
    with pytest.raises(SystemExit):
        parser.parse_args(["worker", "--dispatch-to", "here"])
    assert "did you mean --dispatcher?" in capsys.readouterr().err


def test_commands_are_named_as_they_were_started():
    started_by("dmg-tf")
    assert command("sweep") == "dmg-tf sweep"
    started_by("python -m dmg_tf")
    assert command("data shapes") == "python -m dmg_tf data shapes"
    started_by(None)
    assert command("train") == "python train.py"
    assert command("predict") == "python -m dmg_tf.predict"


@pytest.mark.parametrize("name", CHECKOUT)
def test_a_checkout_has_what_is_named(name):
    python, *place = CHECKOUT[name].split()
    if place[0] == "-m":
        place = [place[1].replace(".", "/") + "/__main__.py"]
    assert python == "python" and (ROOT / place[0]).is_file()
    assert name.split()[0] in main_module.COMMANDS


@pytest.mark.parametrize(
    "start, called",
    [
        (["train.py"], "python train.py"),
        (["-m", "dmg_tf", "train"], "python -m dmg_tf train"),
        (["-m", "dmg_tf.data.shapes"], "python -m dmg_tf.data.shapes"),
        (["-m", "dmg_tf", "data", "shapes"], "python -m dmg_tf data shapes"),
        (["tuning/paper.py"], "python tuning/paper.py"),
        (["-c", INSTALLED, "paper"], "dmg-tf paper"),
    ],
)
def test_errors_say_how_it_was_started(start, called):
    done = subprocess.run(
        [sys.executable, *start, "--no-such-flag"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and f"(see {called} --help)" in done.stderr


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["check", "DATA", "--fast"],
        ["check", "DATA", "--fast", "--json"],
    ],
)
def test_a_closed_pipe_is_no_error(tiny_folder, argv):
    reading, writing = os.pipe()
    os.close(reading)
    argv = [str(tiny_folder) if word == "DATA" else word for word in argv]
    done = subprocess.run(
        [sys.executable, "-m", "dmg_tf", *argv],
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode in (1, 141)  # 1 is rich's own


def interrupted_in(what):
    """A program in which something else is raised for an interruption."""

    @parser_module.program("--resume goes on")
    def main(argv):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            raise what from None
        return 0

    return main


@pytest.mark.parametrize(
    "what", [UserError("cannot read it"), ValueError("half-built")]
)
def test_an_interruption_is_told_whatever_comes_of_it(capsys, what):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert interrupted_in(what)([]) == 130
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "interrupted; --resume goes on\n"


class Late:
    """Something that is interrupted while it is cleared away."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def test_an_interruption_that_python_drops_is_not_lost(capsys):
    @parser_module.program()
    def main(argv):
        late = Late()
        del late
        time.sleep(5)
        return 0

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    hook, begin = sys.unraisablehook, time.monotonic()
    try:
        assert main([]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begin < 4 and sys.unraisablehook is hook
    assert capsys.readouterr().err == "interrupted\n"


def test_without_one_a_fault_is_a_fault():
    @parser_module.program()
    def main(argv):
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        main([])
