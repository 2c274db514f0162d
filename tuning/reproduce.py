"""Runs the paper's tables in full: all methods, targets and backbones.

python tuning/reproduce.py pacs --data PACS --plan
python tuning/reproduce.py domainnet --data DOMAINNET

Weights are fetched, and images unless --data points to them. Each GPU has a run
at a time. The same command goes on where it was killed.
"""

import pathlib
import shlex
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)

import dmg_tf_command  # noqa: E402, F401, I001  (before dmg_tf, which it quiets)
from dmg_tf.commands import paper  # noqa: E402
from dmg_tf.console.bar import print_error  # noqa: E402
from dmg_tf.console.parser import OneLineParser, program  # noqa: E402
from dmg_tf.console.printable import say  # noqa: E402
from dmg_tf.data import check_data  # noqa: E402
from dmg_tf.files import writing  # noqa: E402
from dmg_tf.folders.lock import alone_in  # noqa: E402
from dmg_tf.studies.cost import (  # noqa: E402
    gpus_here,
    missing_text,
    plan_text,
    pretrained,
    rates_of,
)
from dmg_tf.studies.protocols import chosen, read_protocols  # noqa: E402
from dmg_tf.studies.sweep.runner import run_all  # noqa: E402

PROTOCOLS = pathlib.Path(__file__).with_name("reproduce.yaml")


def make_parser() -> OneLineParser:
    """Returns the parser."""
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", metavar="NAME", help="pacs or domainnet")
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="folder of the images (default: data/NAME, to which they are "
        "fetched)",
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        metavar="OUT",
        help="folder of the run folders (default: runs/reproduce-NAME)",
    )
    parser.add_argument(
        "--gpus", nargs="+", metavar="GPU", help="their numbers (default: all)"
    )
    parser.add_argument(
        "--flags",
        default="",
        metavar="TEXT",
        help="further flags of all sweeps, which win: --flags='--seeds 0'",
    )
    parser.add_argument(
        "--plan",
        action="store_true",
        help="only say what is to be run, what it costs and what is missing",
    )
    parser.add_argument(
        "--images-per-second",
        nargs="+",
        default=[],
        metavar="BACKBONE=N",
        help="what one GPU learns from, for --plan (default: by arithmetic)",
    )
    parser.add_argument(
        "--price", type=float, metavar="X", help="of a GPU hour, for --plan"
    )
    return parser


@program(if_interrupted="the same command goes on from here")
def main(argv: list[str] | None = None) -> int:
    """Fetches, runs, and makes the tables; or says what that would be."""
    args = make_parser().parse_args(argv)
    (protocol,) = chosen(read_protocols(PROTOCOLS), [args.name])
    data = args.data or f"data/{args.name}"
    folder = args.output or pathlib.Path(f"runs/reproduce-{args.name}")
    more = shlex.split(args.flags)
    gpus = gpus_here() if args.gpus is None else args.gpus
    jobs = max(1, len(gpus))
    if args.plan:
        runs = protocol.plan(data, folder, more)
        rates = rates_of(args.images_per_second)
        todo = [run for run in runs if not run.finished]
        say(plan_text(protocol, todo, rates, jobs, args.price))
        for argv in protocol.command_lines(data, folder, more):
            say(f"dmg-tf sweep {shlex.join(argv)}")
        for line in missing_text(protocol, todo, data, gpus):
            say(f"Missing: {line}.")
        return 0
    from dmg_tf.backbones.weights.download import fetch_imagenet
    from dmg_tf.data.download.get import get_dataset

    if args.data is None:
        get_dataset(protocol.dataset, data)
    check_data(data, "--data ")
    runs = protocol.plan(data, folder, more)
    for backbone in pretrained(protocol, runs):
        fetch_imagenet(backbone)  # once, not by many runs at the same time
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder, "give another --output"):
        failures = run_all(runs, folder, jobs, gpus)
    for failure in failures:
        print_error(str(failure))
    if len(failures) == len(runs):
        return 1
    return paper.main([str(folder), "--with-paper"]) or bool(failures)


if __name__ == "__main__":
    sys.exit(main())
