"""Searches settings by the sources' validation accuracy.

dmg-tf search --target sketch --backbone resnet18 --epochs 2
dmg-tf search --data DIR --target sketch --siou-weights 0 0.1 1
"""

import pathlib
import sys
from collections.abc import Sequence

from dmg_tf.console.parser import OneLineParser, program
from dmg_tf.console.printable import say
from dmg_tf.console.quiet import load_tensorflow
from dmg_tf.data import detect_dataset
from dmg_tf.errors import UserError
from dmg_tf.flags import (
    add_config_file,
    add_config_flags,
    check_domains,
    config_from_args,
    method_of,
)
from dmg_tf.studies.devices import check_devices
from dmg_tf.studies.search.cluster import process_from_environment
from dmg_tf.studies.search.flags import (
    add_search_flags,
    check_length,
    check_tuner,
)
from dmg_tf.studies.search.folder import Search, default_folder
from dmg_tf.studies.search.space import add_space_flags, space_from_args

# A search has a folder of its own.
_NOT_SHARED = ("output",)


def make_parser(argv: Sequence[str] = ()) -> OneLineParser:
    parser = OneLineParser(
        description=__doc__.splitlines()[0],
        usage="%(prog)s --target DOMAIN [--data DIR] [--method NAME] ...",
    )
    add_search_flags(parser)
    method = method_of(argv)
    add_space_flags(parser, method)
    add_config_flags(parser, method, leave_out=_NOT_SHARED)
    add_config_file(parser, argv, leave_out=_NOT_SHARED)
    return parser


def search_from_args(args) -> Search:
    """Returns the search that the arguments ask for.

    Raises:
        UserError: If a name, a number or a combination of them can't be, or
            the folder holds something else.
    """
    check_tuner(args)
    config = config_from_args(args)
    check_domains(config)
    if config.held_out is None:
        raise UserError(
            f"a search tells how its trials do on a domain that they have not "
            f"seen: --target must be one to hold out, got {config.target}; "
            f"train with --target {config.target} and what the search finds"
        )
    check_length(args.tuner, config)
    check_devices(config.strategy)
    dataset = detect_dataset(config.dataset, config.data)
    space = space_from_args(args, config)
    folder = args.output or default_folder(config, dataset, args.tuner)
    search = Search(
        pathlib.Path(folder),
        config,
        dataset,
        space,
        args.tuner,
        args.max_trials,
        args.executions_per_trial,
    )
    search.check_folder()
    return search


@program("the same command goes on with it")
def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    args = make_parser(argv).parse_args(argv)
    process = process_from_environment()
    search = search_from_args(args)
    # A wrong target would fail each trial; no image is opened here.
    search.config.replace(dataset=search.dataset).list_images()
    load_tensorflow()
    from dmg_tf.studies.search.results import collect, write_results
    from dmg_tf.studies.search.sensitivity import write_figures
    from dmg_tf.studies.search.session import run_search
    from dmg_tf.studies.search.text import search_text

    trials = run_search(search, process, args.worker_timeout)
    if trials is None:
        return 0  # a worker; the chief has all results
    rows = collect(search, trials)
    write_results(search, rows)
    figures = write_figures(search, rows)
    if all(row.error for row in rows):
        reason = rows[0].error.splitlines()[0]
        raise UserError(f"all {len(rows)} trials failed; one: {reason}")
    say(search_text(search, rows))
    say(f"\nAll of it is in {search.folder}")
    for path in figures:
        say(f"Figure: {path}")
    return 0
