"""What all figures share: colours, markers, the writing of text and files."""

import pathlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dmg_tf.files import replacing

if TYPE_CHECKING:  # Matplotlib takes a second to load
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart; each line
# has a marker of its own too.
COLOURS = "#0072B2 #D55E00 #009E73 #CC79A7 #E69F00 #56B4E9 #000000".split()
MARKERS = "osD^vP*"
SUFFIXES = (".png", ".pdf")


def write_figure(
    figure: "Figure",
    folder: pathlib.Path,
    name: str,
    suffixes: Sequence[str] = SUFFIXES,
) -> list[pathlib.Path]:
    """Writes a figure in each of some formats; returns the files.

    Raises:
        UserError: If they cannot be written.
    """
    paths = [folder / f"{name}{suffix}" for suffix in suffixes]
    for path in paths:
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=150)
    return paths


def as_drawn(text: str) -> str:
    """Returns text as Matplotlib shows it: names as they are, λ_O set."""
    text = text.replace("$", r"\$")
    return re.sub(r"λ_(\w)\b", r"$\\lambda_\1$", text)
