"""Trains on the source domains, reports in and out of domain.

dmg-tf train --target sketch --backbone resnet18
dmg-tf train --data DIR --target DOMAIN
"""

import pathlib
import shlex

from dmg_tf.config import (
    RunConfig,
    add_config_flags,
    config_from_args,
)
from dmg_tf.console.parser import OneLineParser, command, program
from dmg_tf.console.quiet import load_tensorflow
from dmg_tf.errors import UserError


def make_parser() -> OneLineParser:
    parser = OneLineParser(description=__doc__.splitlines()[0])
    # Not required here: `check_domains` knows which names could be given.
    parser.add_argument(
        "--target", help="the domain that training never sees (required)"
    )
    add_config_flags(parser, leave_out=("target",))
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in the output folder, with the same flags",
    )
    parser.add_argument(
        "--export",
        action="store_true",
        help="write saved_model/ into the run folder, for TensorFlow alone",
    )
    return parser


def check_domains(config: RunConfig) -> None:
    """Checks the domains by their names; opens no list and no image.

    Raises:
        UserError: If the target is missing, the data can't be found, or has no
            such domains.
    """
    # NumPy, which comes along, would slow the answer to a mistyped flag.
    from dmg_tf.data.datasets.folder import pick_domains
    from dmg_tf.data.domains import domain_names

    known = domain_names(config.dataset, config.data)
    where = config.data or "the built-in data"
    if config.target is None:
        raise UserError(
            "--target is the domain to hold out; "
            f"{where} has {', '.join(known)}"
        )
    pick_domains(known, config.target, config.sources, where)


@program("--resume goes on with it")
def main(argv: list[str] | None = None) -> int:
    args = make_parser().parse_args(argv)
    config = config_from_args(args)
    check_domains(config)
    load_tensorflow()
    from dmg_tf.experiment import run_training
    from dmg_tf.report.text import results_text

    result = run_training(config, resume=args.resume)
    if not result.is_chief:
        return 0  # the chief tells it all
    if args.export:
        from dmg_tf.export.run import export_run

        saved_model = result.run_dir / "saved_model"
        # A run that went on has another model than it had.
        export_run(result.run_dir, saved_model, replace=True)
    print(results_text(result.results))
    print(f"\nAll of it is in {result.run_dir}")
    print(next_steps(result.run_dir, args.export))
    return 0


def next_steps(run_dir: pathlib.Path, exported: bool) -> str:
    """Returns what to do with a finished run, a line each."""
    run = shlex.quote(str(run_dir))
    out = shlex.quote(str(run_dir / "saved_model"))
    take_away = f"{command('export')} {run} {out}"
    return "\n".join(
        [
            f"look at it:    {run_dir / 'report.html'}",
            f"predict:       {command('predict')} {run} IMAGES --csv out.csv",
            f"try it out:    {command('demo')} {run}",
            f"SavedModel:    {out}"
            if exported
            else f"take it away:  {take_away}",
        ]
    )
