"""Command lines: arguments, and how a program ends."""

import argparse
import functools
import os
import sys
from collections.abc import Callable

from dmg_tf.errors import UserError

_program = None


def called(program: str | None) -> None:
    """Says how the running program was called, for its usage and errors."""
    global _program
    _program = program


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, with exit code 2."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if _program is not None and "prog" not in kwargs:
            self.prog = _program

    def error(self, message):
        """Prints the message alone and ends the program."""
        self.exit(2, f"error: {message} (see {self.prog} --help)\n")


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
        def run(argv: list[str] | None = None) -> int:
            try:
                return main(argv)
            except UserError as error:
                print(f"error: {error}", file=sys.stderr)
                return error.exit_code
            except KeyboardInterrupt as error:
                notes = filter(None, [*error.args, if_interrupted])
                print("; ".join(["interrupted", *notes]), file=sys.stderr)
                return 130
            except BrokenPipeError:
                # As of `| head`. What is left in the buffer has nowhere to go.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 141

        return run

    return decorate
