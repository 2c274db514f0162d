"""Runs what docs/evidence lacks, a few runs at a time, and makes its page.

python tuning/evidence.py --data PACS --only frozen --at-most 8

A run goes on where it was killed. One that is finished becomes a small file in
docs/evidence/runs, and its run folder is not needed any more. All of it runs at
the lowest priority.
"""

import os
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)

import dmg_tf_command  # noqa: E402, F401, I001  (before dmg_tf, which it quiets)
from dmg_tf.console.bar import print_error  # noqa: E402
from dmg_tf.console.parser import OneLineParser, program  # noqa: E402
from dmg_tf.console.printable import say  # noqa: E402
from dmg_tf.data import check_data  # noqa: E402
from dmg_tf.errors import UserError  # noqa: E402
from dmg_tf.studies.cost import missing_text, plan_text  # noqa: E402
from dmg_tf.studies.evidence.running import Places, advance  # noqa: E402
from dmg_tf.studies.protocols import chosen, read_protocols  # noqa: E402

PAGES = pathlib.Path(sys.path[0]) / "docs" / "evidence"


def make_parser() -> OneLineParser:
    """Returns the parser."""
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR", help="folder of PACS")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="PROTOCOL",
        help="run these alone, of docs/evidence/protocols.yaml",
    )
    parser.add_argument(
        "--at-most",
        type=int,
        default=sys.maxsize,
        metavar="N",
        help="end after N runs; 0 makes the page alone (default: all)",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="runs at a time"
    )
    parser.add_argument(
        "--plan",
        action="store_true",
        help="only say what is to be run, what it costs and what is missing",
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=pathlib.Path("runs/evidence"),
        metavar="DIR",
        help="folder of the run folders (default: runs/evidence)",
    )
    parser.add_argument(
        "--pages",
        type=pathlib.Path,
        default=PAGES,
        metavar="DIR",
        help="folder of the page (default: docs/evidence)",
    )
    return parser


@program(if_interrupted="the same command goes on from here")
def main(argv: list[str] | None = None) -> int:
    """Runs what is missing, and makes the page."""
    args = make_parser().parse_args(argv)
    if args.jobs < 1 or args.at_most < 0:
        raise UserError(
            "--jobs must be at least 1 and --at-most at least 0, got "
            f"{args.jobs} and {args.at_most}"
        )
    protocols = read_protocols(args.pages / "protocols.yaml")
    places = Places(args.data, args.output, args.pages / "runs")
    asked = chosen(protocols, args.only)
    if args.plan:
        for protocol in asked:
            runs = places.lacking(protocol)
            say(plan_text(protocol, runs, {}))
            for line in missing_text(protocol, runs, args.data):
                say(f"Missing: {line}.")
            say("")
        return 0
    # The page is drawn by Matplotlib, which takes a second to load.
    from dmg_tf.studies.evidence.page import write_page

    os.nice(19)
    left, failed = args.at_most, 0
    for protocol in asked:
        if protocol.needs_data and not args.data:
            print_error(f"{protocol.name} is left out: it needs --data DIR")
            continue
        if protocol.needs_data:
            check_data(args.data, "--data ")
        ran, lost = advance(protocol, places, left, args.jobs)
        left, failed = left - ran, failed + lost
    files = write_page(protocols, args.pages)
    say(f"Written: {', '.join(map(str, files))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
