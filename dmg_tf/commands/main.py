"""`dmg-tf COMMAND`: all programs under one name."""

import importlib
import sys

from dmg_tf.console.parser import program, running, started_by
from dmg_tf.errors import unknown_name

# Command: its module here, and what it does, in the order of a project.
COMMANDS = {
    "train": ("train", "train on the source domains, score the target"),
    "evaluate": ("evaluate", "score a finished run again, or on other data"),
    "predict": ("predict", "predict images with a trained model"),
    "export": ("export", "write a model for use without this package"),
    "report": ("report", "write report.html of a run anew"),
    "check": ("check_data", "say what is wrong with a folder of images"),
    "sweep": ("leave_one_out", "hold out each domain in turn, by any methods"),
    "search": ("search", "search settings by the sources' validation images"),
    "paper": ("paper", "make the paper's tables and figures from a sweep"),
    "demo": ("demo", "serve a model as a web page on this machine"),
    "methods": ("methods", "list the methods and their options"),
    "data": ("data", "get a dataset, draw the built-in one, serve tf.data"),
}


def run(command: str, argv: list[str] | None, front: str | None) -> int:
    """Runs one command; returns its exit code.

    Args:
        command: A key of `COMMANDS`.
        argv: Its arguments; None for those of the process.
        front: How it was started, see `started_by`.
    """
    started_by(front)
    running(command)
    module = importlib.import_module(f"dmg_tf.commands.{COMMANDS[command][0]}")
    return module.main(argv)


@program()
def main(argv: list[str] | None = None, front: str = "dmg-tf") -> int:
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(_usage(front))
        return 0 if argv else 2
    command, *rest = argv
    if command == "--version":
        from dmg_tf import __version__

        print(__version__)
        return 0
    if command not in COMMANDS:
        raise unknown_name("command", command, COMMANDS)
    return run(command, rest, front)


def _usage(front: str) -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {front} COMMAND ...",
            "",
            "Domain-specific masks for generalization in Keras: one image "
            "classifier for",
            "the domains it was trained on and for one it has never seen.",
            "",
            *rows,
            "",
            f"{front} COMMAND --help tells what a command takes.",
        ]
    )
