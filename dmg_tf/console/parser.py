"""Command lines: arguments, how a program was started, and how it ends."""

import _thread
import argparse
import contextlib
import difflib
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from dmg_tf.console.printable import one_line, show_anything
from dmg_tf.errors import UserError

# How a checkout's scripts and modules start a command.
CHECKOUT = {
    "train": "python train.py",
    "evaluate": "python evaluate.py",
    "predict": "python -m dmg_tf.predict",
    "export": "python -m dmg_tf.export",
    "report": "python -m dmg_tf.report",
    "check": "python -m dmg_tf.data.check",
    "sweep": "python tuning/leave_one_out.py",
    "search": "python tuning/search.py",
    "paper": "python tuning/paper.py",
    "demo": "python -m dmg_tf.demo",
    "data shapes": "python -m dmg_tf.data.shapes",
    "data service": "python -m dmg_tf.data.service",
}
_front: str | None = "dmg-tf"
_running: str | None = None
_offered: set[str] = set()


def started_by(front: str | None) -> None:
    """Says how the program was started.

    Args:
        front: What was typed before the command's name, "dmg-tf" or "python -m
            dmg_tf"; None where a script or a module of `CHECKOUT` was started.
    """
    global _front
    _front = front


def running(name: str) -> None:
    """Says which command runs, e.g. "train" or "data shapes"."""
    global _running
    _running = name


def command(name: str) -> str:
    """Returns what to type for a command, in the way this program was started.

    Args:
        name: The command, e.g. "train" or "data shapes".
    """
    return CHECKOUT[name] if _front is None else f"{_front} {name}"


def offers(flag: str) -> bool:
    """Returns whether the program that runs has a flag, to advise it."""
    return flag in _offered


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, with exit code 2.

    A flag that it does not know is told first, with the nearest one.
    """

    def __init__(self, *args, **kwargs):
        # The beginning of a flag would mean another one as flags are added.
        super().__init__(*args, allow_abbrev=False, **kwargs)
        if _running is not None and "prog" not in kwargs:
            self.prog = command(_running)

    def parse_args(self, args=None, namespace=None):
        """Parses all arguments; see `argparse`."""
        self._check_flags(args)
        _offered.update(self._flags())
        return super().parse_args(args, namespace)

    def parse_intermixed_args(self, args=None, namespace=None):
        """Parses flags and positional arguments in any order."""
        self._check_flags(args)
        return super().parse_intermixed_args(args, namespace)

    def error(self, message):
        """Prints the message alone and ends the program."""
        message = one_line(message)
        self.exit(2, f"error: {message} (see {self.prog} --help)\n")

    def _check_flags(self, args) -> None:
        # Else a required argument that is missing would be told instead.
        known = list(self._flags())
        for word in sys.argv[1:] if args is None else args:
            flag = word.partition("=")[0]
            if flag == "--":
                return
            if not flag.startswith("--") or flag in known:
                continue
            near = difflib.get_close_matches(flag, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            self.error(f"unrecognized arguments: {flag}{hint}")

    def _flags(self) -> Iterator[str]:
        for action in self._actions:
            yield from action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                for parser in action.choices.values():
                    yield from parser._flags()


def program(if_interrupted: str = "") -> Callable:
    """Makes a program of a function of its arguments that may raise.

    What a user can mend is told in one line, with the error's exit code; an
    interruption ends with 130, and a pipe that nobody reads on with 141.

    Args:
        if_interrupted: What to say of it when the user interrupts it.

    Returns:
        A decorator of a function (argv) -> exit code.
    """

    def decorate(main):
        @functools.wraps(main)
        def run(argv: list[str] | None = None, **options) -> int:
            show_anything()
            with _interruptions() as seen:
                try:
                    code = main(argv, **options)
                    # What is printed may stay in a buffer until here.
                    sys.stdout.flush()
                    return code
                except KeyboardInterrupt as error:
                    return interrupted(*error.args)
                except BrokenPipeError:
                    # As of `| head`. What is left has nowhere to go.
                    nowhere = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(nowhere, sys.stdout.fileno())
                    return 141
                except Exception as error:
                    if seen:  # and what it raised was caught on its way
                        return interrupted()
                    if not isinstance(error, UserError):
                        raise
                    print(f"error: {one_line(str(error))}", file=sys.stderr)
                    return error.exit_code

        def interrupted(*notes: str) -> int:
            notes = filter(None, [*notes, if_interrupted])
            said = one_line("; ".join(["interrupted", *notes]))
            print(said, file=sys.stderr)
            return 130

        return run

    return decorate


@contextlib.contextmanager
def _interruptions() -> Iterator[list[int]]:
    """Notes the interruptions of a block.

    Keras and TensorFlow catch all that is raised in places where they build and
    trace, an interruption too: what follows is then told as another error. One
    that is raised in a `__del__` is dropped by Python, and so raised again.
    """
    seen: list[int] = []
    usual = signal.getsignal(signal.SIGINT)
    if usual is not signal.default_int_handler or (
        threading.current_thread() is not threading.main_thread()
    ):
        yield seen
        return

    def note(number, frame):
        seen.append(number)
        usual(number, frame)

    timers: list[threading.Timer] = []
    usual_hook = sys.unraisablehook

    def again(dropped):
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            usual_hook(dropped)
            return
        timers.append(threading.Timer(0.01, _interrupt))
        timers[-1].start()

    signal.signal(signal.SIGINT, note)
    sys.unraisablehook = again
    try:
        yield seen
    finally:
        for timer in timers:
            timer.cancel()
        sys.unraisablehook = usual_hook
        signal.signal(signal.SIGINT, usual)


def _interrupt() -> None:
    """Interrupts the main thread, in a wait of the system too."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        _thread.interrupt_main()
