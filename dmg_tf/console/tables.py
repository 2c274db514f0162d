"""Tables for a terminal: as wide as it is, with no name or number cut.

Rich is imported when something is shown: a mistyped flag does not wait for it.
"""

import dataclasses
import io
import shutil
import sys
from collections.abc import Iterable, Sequence

from dmg_tf.console.printable import one_line

# Columns of what is no terminal: a pipe, a file.
PIPED = 80


@dataclasses.dataclass(frozen=True)
class Room:
    """What there is to write on.

    Attributes:
        width: Columns.
        terminal: Whether bold and colours are seen; `NO_COLOR` in the
            environment leaves out the colours.
    """

    width: int = PIPED
    terminal: bool = False

    @classmethod
    def here(cls) -> "Room":
        """Returns that of standard output."""
        if not sys.stdout.isatty():
            return cls()
        return cls(shutil.get_terminal_size((PIPED, 24)).columns, True)

    def say(self, text: str) -> None:
        """Prints what `text` and `table` made, in which names are escaped."""
        print(text, flush=True)

    def text(self, text: str, style: str = "") -> str:
        """Returns text with its lines broken between words.

        Args:
            text: A paragraph.
            style: Rich's name of how it looks, e.g. "bold".
        """
        import rich.text

        console = self._console()
        shown = rich.text.Text(one_line(text), style=style)
        console.print(shown, overflow="fold")
        return _without_ends(console.file.getvalue())

    def table(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        labels: int = 1,
        strong: Iterable[int] = (),
        sections: Iterable[int] = (),
    ) -> str:
        """Returns a table that fits.

        Where its columns do not, heads are broken between words; then rows
        become columns, or it goes on below with further columns, whichever is
        fewer tables. A name that is wider than the room goes on in its cell.

        Args:
            head: Names of the columns.
            rows: Cells of each row.
            labels: How many columns name a row; the others are numbers.
            strong: Columns in bold.
            sections: Rows that a line stands above of.
        """
        head = [one_line(name) for name in head]
        rows = [[one_line(cell) for cell in row] for row in rows]
        made = self._fitted(head, rows, labels, set(strong), set(sections))
        shown = []
        for each in made:
            console = self._console()
            console.print(each)
            shown.append(_without_ends(console.file.getvalue()))
        return "\n\n".join(shown)

    def _fitted(self, head, rows, labels, strong, sections):
        as_is = _rich_table(head, rows, labels, strong, sections)
        if self._fits(as_is):
            return [as_is]
        blocks = self._blocks(head, rows, labels, strong, sections)
        if len(blocks) == 1 or len(rows) < 2:
            return blocks
        # Rows become columns; what names them becomes one line.
        corner = head[labels:]
        turned_head = ["", *(" ".join(filter(None, r[:labels])) for r in rows)]
        turned = [
            [name, *(row[labels + i] for row in rows)]
            for i, name in enumerate(corner)
        ]
        others = self._blocks(
            turned_head, turned, 1, (), (), {i - labels for i in strong}
        )
        return others if len(others) < len(blocks) else blocks

    def _blocks(self, head, rows, labels, strong, sections, strong_rows=()):
        """Returns as few tables as hold all columns side by side."""
        heads = head[:labels] + [
            _between_words(name, [row[i] for row in rows])
            for i, name in enumerate(head)
            if i >= labels
        ]

        def made(columns):
            chosen = [*range(labels), *columns]
            return _rich_table(
                [heads[i] for i in chosen],
                [[row[i] for i in chosen] for row in rows],
                labels,
                {chosen.index(i) for i in strong if i in chosen},
                sections,
                strong_rows,
            )

        blocks, columns = [], []
        for i in range(labels, len(head)):
            if columns and not self._fits(made([*columns, i])):
                blocks.append(columns)
                columns = []
            columns.append(i)
        return [made(columns) for columns in (*blocks, columns)]

    def _fits(self, table) -> bool:
        from rich.measure import Measurement

        console = self._console(10_000)
        found = Measurement.get(console, console.options, table)
        return found.maximum <= self.width

    def _console(self, width=None):
        import rich.console

        return rich.console.Console(
            file=io.StringIO(),
            width=width or self.width,
            force_terminal=self.terminal,
            highlight=False,
            markup=False,
        )


def _without_ends(text: str) -> str:
    """Returns lines without blanks behind them; empty lines are left out."""
    lines = (line.rstrip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _between_words(name: str, cells: Sequence[str]) -> str:
    """Breaks a head between words, to no less than its cells' width."""
    import textwrap

    words = name.split()
    width = max(map(len, (*words, *cells)), default=1)
    broken = textwrap.wrap(
        name, max(width, 1), break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(broken)


def _rich_table(head, rows, labels, strong, sections, strong_rows=()):
    import rich.box
    import rich.table
    import rich.text

    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for i, name in enumerate(head):
        table.add_column(
            rich.text.Text(name),
            justify="left" if i < labels else "right",
            overflow="fold",
            vertical="top",
            style="bold" if i in strong else None,
            header_style="bold",
        )
    for number, row in enumerate(rows):
        cells = (rich.text.Text(cell) for cell in row)
        table.add_row(
            *cells,
            end_section=number + 1 in sections,
            style="bold" if number in strong_rows else None,
        )
    return table
