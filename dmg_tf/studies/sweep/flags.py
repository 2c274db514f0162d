"""The command line of a sweep."""

from collections.abc import Sequence

from dmg_tf.config import RunConfig
from dmg_tf.console.parser import OneLineParser, command
from dmg_tf.flags import add_config_flags
from dmg_tf.studies.sweep.variants import (
    SWEPT,
    add_option_flags,
    default_methods,
    own_shorthands,
)


def make_parser(methods: Sequence[str] | None = None) -> OneLineParser:
    """Returns the parser.

    Args:
        methods: Whose options it takes; None for those of the default sweep.
    """
    usual = default_methods()
    parser = OneLineParser(
        description="Holds out each domain in turn, for all methods, and "
        "prints the tables. What is not a flag of the sweep holds for every "
        f"run, as for {command('train')}."
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
        "--jobs",
        type=int,
        metavar="N",
        help="runs at a time (default: 1, or one a GPU of --gpus)",
    )
    sweep.add_argument(
        "--gpus",
        nargs="+",
        default=[],
        metavar="GPU",
        help="GPUs to share out, one to each run, by their numbers (default: "
        "a run takes what --strategy says)",
    )
    sweep.add_argument(
        "--with-paper",
        action="store_true",
        help="show the paper's own rows too (PACS and DomainNet)",
    )
    add_config_flags(parser, leave_out=SWEPT)
    add_option_flags(parser, usual if methods is None else methods)
    return parser
