"""Draws the built-in dataset into a folder, or an overview of it.

dmg-tf data shapes [--root DIR] [--sheet FILE]
"""

import pathlib

from dmg_tf.console.parser import OneLineParser, program
from dmg_tf.console.printable import say
from dmg_tf.data.shapes.dataset import contact_sheet, ensure_shapes


def make_parser() -> OneLineParser:
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sheet",
        type=pathlib.Path,
        metavar="FILE",
        help="write an overview of the pictures into this PNG, and no folder",
    )
    parser.add_argument(
        "--root",
        type=pathlib.Path,
        metavar="DIR",
        help="parent of the folder (default: ~/.cache/dmg_tf/datasets)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the pictures (default: 0)"
    )
    return parser


@program()
def main(argv: list[str] | None = None) -> int:
    args = make_parser().parse_args(argv)
    if args.sheet:
        say(str(contact_sheet(args.sheet, seed=args.seed)))
    else:
        say(str(ensure_shapes(args.root, args.seed)))
    return 0
