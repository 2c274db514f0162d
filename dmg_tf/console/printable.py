"""Text on the way to a terminal: names are shown, never obeyed."""

import sys


def printable(text: str) -> str:
    """Returns text with what a terminal can't show written as escapes.

    A name may hold codes that clear the screen, turn the order of letters, or
    hide what follows. Line breaks stay.
    """
    if text.isprintable():
        return text
    return "\n".join(map(one_line, text.split("\n")))


def one_line(text: str) -> str:
    """Returns the same with line breaks as escapes too."""
    return "".join(
        char
        if char.isprintable()
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def say(text: str, file=None) -> None:
    """Prints text, at once; on standard output unless a file is given."""
    print(printable(text), file=file or sys.stdout, flush=True)
