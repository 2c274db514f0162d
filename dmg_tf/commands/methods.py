"""Lists the methods, and what each of them lets one set.

dmg-tf methods
dmg-tf methods METHOD
"""

import rich.box
import rich.console
import rich.markup
import rich.table

from dmg_tf import settings
from dmg_tf.console.parser import OneLineParser, program
from dmg_tf.console.printable import say
from dmg_tf.errors import unknown_name
from dmg_tf.methods.spec import MethodSpec
from dmg_tf.registry import METHODS

_HEAD = ("method", "title", "what it does", "whose it is")


def make_parser() -> OneLineParser:
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "method", nargs="?", metavar="METHOD", help="show its options"
    )
    parser.add_argument(
        "--markdown",
        action="store_true",
        help="as Markdown; without METHOD all methods and their options, as "
        "in docs/methods.md",
    )
    return parser


@program()
def main(argv: list[str] | None = None) -> int:
    args = make_parser().parse_args(argv)
    if args.method is None:
        if args.markdown:
            print(markdown_page())
        else:
            _print_table(_HEAD, _rows())
        return 0
    if args.method not in METHODS.names():
        raise unknown_name("method", args.method, METHODS.names())
    method = METHODS[args.method]
    if args.markdown:
        say(_section(args.method))
        return 0
    say(f"{method.title}: {method.summary}")
    for lines in _options_text(method) or [_NO_OPTIONS]:
        say(lines)
    return 0


def markdown_table() -> str:
    """Returns the table of all methods, as Markdown."""
    rows = [("`" + name + "`", *rest) for name, *rest in _rows()]
    return settings.markdown_table(_HEAD, rows)


def markdown_page() -> str:
    """Returns all methods and their options, as docs/methods.md has them."""
    sections = [_section(name) for name in METHODS.names()]
    return "\n\n".join([markdown_table(), *sections])


_NO_OPTIONS = "It has no options of its own."


def _rows() -> list[tuple[str, ...]]:
    specs: dict[str, MethodSpec] = {n: METHODS[n] for n in METHODS.names()}
    return [
        (name, spec.title, spec.summary, spec.paper)
        for name, spec in specs.items()
    ]


def _section(name: str) -> str:
    """Returns a heading and the options of a method, as Markdown."""
    method = METHODS[name]
    options = _NO_OPTIONS
    if settings.names_of(method.options):
        options = settings.markdown(method.options)
    return f"## {method.title}: `--method {name}`\n\n{options}"


def _options_text(method: MethodSpec) -> list[str]:
    """Returns a few lines for each option of a method."""
    texts = []
    for flag, what, *facts in settings.rows_of(method.options):
        known = [
            f"{name}: {fact}"
            for name, fact in zip(settings.COLUMNS[2:], facts, strict=True)
            if fact
        ]
        texts.append("\n  ".join([f"\n{flag}", what, *known]))
    return texts


def _print_table(head, rows) -> None:
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for index, column in enumerate(head):
        # The first column is what one types: it is never broken.
        table.add_column(column, no_wrap=index == 0)
    for row in rows:
        table.add_row(*map(rich.markup.escape, row))
    rich.console.Console(color_system=None).print(table)
