"""Text on the way to a terminal: names are shown, never obeyed."""

import codecs
import sys

# What stands for characters that an output has not, beside escapes.
_PLAIN = {
    **dict.fromkeys("─━═╌┄", "-"),
    **dict.fromkeys("│┃║", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼┏┓┗┛┡┩┢┪╇╈╪╞╡╭╮╰╯", "+"),
    **{"…": "...", "·": "-", "•": "*", "–": "-", "—": "-", "−": "-"},
    **{"×": "x", "±": "+/-", "→": "->", "≥": ">=", "≤": "<=", "≈": "~"},
    **dict.fromkeys("█▇▆▅▄▃▂▁▏▎▍▌▋▊▉", "#"),
}
_HANDLER = "dmg_tf.plain"


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


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(
        _PLAIN.get(c, one_line(ascii(c)[1:-1])) for c in missing
    ), error.end


codecs.register_error(_HANDLER, _plain)


def show_anything() -> None:
    """Lets standard output and errors replace what they can't encode."""
    for stream in (sys.stdout, sys.stderr):
        # A stream that someone put in their place may be no text file.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)


def say(text: str, file=None) -> None:
    """Prints text, at once; on standard output unless a file is given."""
    print(printable(text), file=file or sys.stdout, flush=True)
