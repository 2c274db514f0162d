"""The start of every program of dmg_tf.

Importing this module first tells `dmg_tf` that a program starts: it then leaves
TensorFlow unloaded until the arguments were checked.
"""

import sys


def main(argv: list[str] | None = None) -> int:
    """Runs `dmg-tf COMMAND ...`; returns its exit code."""
    from dmg_tf.commands.main import main

    return main(argv)


def start(command: str, called: str) -> None:
    """Runs one command with the process' arguments, and ends the process.

    Args:
        command: Its name, as in `dmg-tf COMMAND`.
        called: What the user typed to start it, for usage and errors.
    """
    from dmg_tf.commands.main import run

    sys.exit(run(command, None, called))
