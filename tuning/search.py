"""Searches settings by the sources' validation accuracy; λ_O, as the paper.

python tuning/search.py --target sketch --backbone resnet18 --epochs 2
python tuning/search.py --data DIR --target sketch --siou-weights 0 0.1 1
"""

import pathlib
import sys

DMG_TF_LAZY = True  # arguments are checked before TensorFlow is loaded

if not __package__:  # started as a file: the project is the folder above
    sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)

from dmg_tf.config import (  # noqa: E402
    OneLineParser,
    add_config_flags,
    config_from_args,
)
from dmg_tf.data import detect_dataset  # noqa: E402
from dmg_tf.errors import UserError  # noqa: E402
from dmg_tf.quiet import load_tensorflow  # noqa: E402
from dmg_tf.registry import DATASETS  # noqa: E402
from tuning.devices import check_devices  # noqa: E402
from tuning.search_cluster import place_from_environment  # noqa: E402
from tuning.search_flags import add_search_flags, check_tuner  # noqa: E402
from tuning.search_folder import Search, default_folder  # noqa: E402
from tuning.search_space import add_space_flags, space_from_args  # noqa: E402


def make_parser() -> OneLineParser:
    """Returns the parser: the search's flags, and all of train.py's."""
    parser = OneLineParser(
        prog="python tuning/search.py", description=__doc__.splitlines()[0]
    )
    add_search_flags(parser)
    add_space_flags(parser)
    add_config_flags(parser, leave_out=("output",))
    return parser


def search_from_args(args) -> Search:
    """Returns the search that the arguments ask for.

    Raises:
        UserError: If a name, a number or a combination of them can't be, or
            the folder holds something else.
    """
    check_tuner(args)
    config = config_from_args(args)
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


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    args = make_parser().parse_args(argv)
    try:
        place = place_from_environment()
        search = search_from_args(args)
        config = search.config
        # A wrong target would fail each trial; no image is opened here.
        DATASETS[search.dataset](
            config.data, config.target, config.sources, config.seed
        )
        load_tensorflow()
        from tuning.search_report import search_text
        from tuning.search_results import collect, write_results
        from tuning.search_run import run_search
        from tuning.sensitivity import write_figures

        trials = run_search(search, place, args.worker_timeout)
        if trials is None:
            return 0  # a worker; the chief has all results
        rows = collect(search, trials)
        write_results(search, rows)
        figures = write_figures(search, rows)
        if all(row.error for row in rows):
            reason = rows[0].error.splitlines()[0]
            raise UserError(f"all {len(rows)} trials failed; one: {reason}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; the same command goes on with it", file=sys.stderr)
        return 130
    print(search_text(search, rows))
    print(f"\nAll of it is in {search.folder}")
    for path in figures:
        print(f"Figure: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
