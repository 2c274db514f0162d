"""Holds out each domain in turn, for all methods, and prints the tables.

dmg-tf sweep --methods aggregate dmg --seeds 0 1 2
"""

import pathlib
import sys
from collections.abc import Sequence

from dmg_tf.config import RunConfig
from dmg_tf.console.bar import print_error
from dmg_tf.console.parser import OneLineParser, command, program
from dmg_tf.console.printable import say
from dmg_tf.console.tables import Room
from dmg_tf.errors import UserError
from dmg_tf.files import remove_leftovers, writing
from dmg_tf.flags import add_config_flags
from dmg_tf.folders.lock import alone_in
from dmg_tf.studies.devices import check_devices
from dmg_tf.studies.sweep.plan import plan_runs
from dmg_tf.studies.sweep.runner import run_all
from dmg_tf.studies.sweep.variants import (
    SWEPT,
    add_option_flags,
    default_methods,
    methods_of,
    own_shorthands,
)


def make_parser(methods: Sequence[str] | None = None) -> OneLineParser:
    """Returns the parser.

    Args:
        methods: Whose options it takes; None for those of the default sweep.
    """
    usual = default_methods()
    parser = OneLineParser(
        description=f"{__doc__.splitlines()[0]} What is not a flag of the "
        f"sweep holds for every run, as for {command('train')}."
    )
    sweep = parser.add_argument_group("sweep")
    sweep.add_argument(
        "--targets",
        nargs="+",
        metavar="DOMAIN",
        help="domains to hold out, one at a time (default: all)",
    )
    sweep.add_argument(
        "--methods",
        nargs="+",
        default=usual,
        metavar="METHOD",
        help="METHOD, METHOD:flag=value[,flag=value], or all for every "
        "method; METHOD-sgd is short for METHOD:optimizer=sgd, and there are "
        f"{', '.join(own_shorthands())} (default: {' '.join(usual)})",
    )
    sweep.add_argument(
        "--backbones",
        nargs="+",
        default=[RunConfig.backbone],
        metavar="BACKBONE",
    )
    sweep.add_argument(
        "--seeds", nargs="+", type=int, default=[RunConfig.seed], metavar="SEED"
    )
    sweep.add_argument(
        "--output",
        default="runs/leave_one_out",
        metavar="DIR",
        help="folder of the run folders and tables; finished runs in it are "
        "kept, killed ones go on (default: runs/leave_one_out)",
    )
    sweep.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="runs at a time"
    )
    sweep.add_argument(
        "--with-paper",
        action="store_true",
        help="show the paper's own rows too (PACS and DomainNet)",
    )
    add_config_flags(parser, leave_out=SWEPT)
    add_option_flags(parser, usual if methods is None else methods)
    return parser


@program()
def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    args = make_parser(methods_of(argv)).parse_args(argv)
    folder = pathlib.Path(args.output)
    if args.jobs < 1:
        raise UserError(f"--jobs must be at least 1, got {args.jobs}")
    check_devices(args.strategy)
    runs = plan_runs(args)
    finished = sum(run.finished for run in runs)
    print_error(f"{len(runs)} runs, {finished} of them finished")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder, "give another --output"):
        failures = run_all(runs, folder, args.jobs)
        if len(failures) < len(runs):
            # A mistyped flag does not wait for what draws tables and pages.
            from dmg_tf.studies.paper.tables import write_tables
            from dmg_tf.studies.runs import load_runs
            from dmg_tf.studies.sweep.final import final_model_text
            from dmg_tf.studies.sweep.page import write_sweep_page

            (done, missing), room = load_runs(folder), Room.here()
            text, files = write_tables(done, folder, args.with_paper, room=room)
            page = write_sweep_page(done, folder, args.with_paper, missing)
            # What a sweep that was killed left half-written.
            remove_leftovers(folder, [path.name for path in (*files, page)])
            room.say(text)
            say(f"Tables: {', '.join(map(str, files))}")
            say(f"To look at: {page}")
            final = final_model_text(runs, done, folder)
            if final:
                say(f"\n{final}")
    for failure in failures:
        say(
            f"failed: {failure.run.name}: {failure.reason} (see {failure.log})",
            file=sys.stderr,
        )
    return 1 if failures else 0
