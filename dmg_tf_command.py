"""The start of every program of dmg_tf.

Importing this module first tells `dmg_tf` that a program starts: it then leaves
TensorFlow unloaded until the arguments were checked.
"""

import sys


def _quiet_if_interrupted(kind, error, trace):
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
    else:
        sys.__excepthook__(kind, error, trace)


# A program that is interrupted while its modules are imported ends in a line
# too, and by the signal, as Python does.
sys.excepthook = _quiet_if_interrupted


def main(argv: list[str] | None = None) -> int:
    """Runs `dmg-tf COMMAND ...`; returns its exit code."""
    from dmg_tf.commands.main import main

    return main(argv)


def start(command: str) -> None:
    """Runs a command as a script or module of the checkout, then exits.

    Args:
        command: Its name, as in `dmg-tf COMMAND`.
    """
    from dmg_tf.commands.main import run

    sys.exit(run(command, None, front=None))
