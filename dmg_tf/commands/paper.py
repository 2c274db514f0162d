"""Makes the paper's tables and figures from a folder of run folders.

dmg-tf paper DIR [--with-paper]
"""

import pathlib

from dmg_tf.console.bar import print_error
from dmg_tf.console.parser import OneLineParser, command, program
from dmg_tf.console.printable import say
from dmg_tf.console.quiet import load_tensorflow
from dmg_tf.console.tables import Room
from dmg_tf.files import writing
from dmg_tf.registry import METHODS
from dmg_tf.settings import flag_of
from dmg_tf.studies.figures import write_figure
from dmg_tf.studies.paper.neurons import neurons
from dmg_tf.studies.paper.overlap import (
    layers,
    overlap,
    sensitivity,
    weights,
)
from dmg_tf.studies.paper.tables import write_tables
from dmg_tf.studies.runs import load_runs


def make_parser() -> OneLineParser:
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder",
        metavar="DIR",
        help=f"a folder of run folders, as {command('sweep')} leaves it",
    )
    parser.add_argument(
        "--output",
        metavar="OUT",
        help="where tables and figures go (default: DIR/paper)",
    )
    parser.add_argument(
        "--with-paper",
        action="store_true",
        help="show the paper's own rows too (PACS and DomainNet)",
    )
    return parser


@program()
def main(argv: list[str] | None = None) -> int:
    args = make_parser().parse_args(argv)
    out = pathlib.Path(args.output or pathlib.Path(args.folder) / "paper")
    runs, unfinished = load_runs(args.folder)
    if unfinished:
        print_error(f"left out, not finished: {', '.join(unfinished)}")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    if any(run.results["mask_iou"] for run in runs):
        load_tensorflow()  # it reads the masks of saved models
    by_weight = [*sensitivity(runs), *layers(runs)]
    by_pair, kinds = overlap(runs), neurons(runs)
    room, more = Room.here(), [*by_weight, *by_pair, *kinds]
    text, files = write_tables(runs, out, args.with_paper, more, room)
    # Matplotlib takes a second to load.
    from dmg_tf.studies.paper import figures as paper_figures

    for draw, tables in (
        (paper_figures.lines_figure, by_weight),
        (paper_figures.overlap_figure, by_pair),
        (paper_figures.neurons_figure, kinds),
    ):
        for table in tables:
            figure = draw(table)
            files += write_figure(figure, out, table.name)
    room.say(text)
    if not by_weight:
        names = [name for m in METHODS.names() for name in weights(m)]
        flags = " or ".join(map(flag_of, dict.fromkeys(names)))
        say(
            "No figure of sensitivity: these runs do not differ in "
            f"{flags} alone."
        )
    say("Written: " + ", ".join(map(str, files)))
    return 0
