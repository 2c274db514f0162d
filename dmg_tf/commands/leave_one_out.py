"""Holds out each domain in turn, for all methods, and prints the tables.

dmg-tf sweep --methods aggregate dmg --seeds 0 1 2
"""

import pathlib
import sys

from dmg_tf.console.bar import print_error
from dmg_tf.console.parser import program
from dmg_tf.console.printable import say
from dmg_tf.console.tables import Room
from dmg_tf.errors import UserError
from dmg_tf.files import remove_leftovers, writing
from dmg_tf.folders.lock import alone_in
from dmg_tf.studies.devices import check_devices
from dmg_tf.studies.sweep.flags import make_parser
from dmg_tf.studies.sweep.plan import plan_runs
from dmg_tf.studies.sweep.runner import run_all
from dmg_tf.studies.sweep.variants import methods_of


@program()
def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    args = make_parser(methods_of(argv)).parse_args(argv)
    folder = pathlib.Path(args.output)
    jobs = len(args.gpus) or 1 if args.jobs is None else args.jobs
    if jobs < 1:
        raise UserError(f"--jobs must be at least 1, got {jobs}")
    check_devices(args.strategy)
    runs = plan_runs(args)
    finished = sum(run.finished for run in runs)
    print_error(f"{len(runs)} runs, {finished} of them finished")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder, "give another --output"):
        failures = run_all(runs, folder, jobs, args.gpus)
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
        say(str(failure), file=sys.stderr)
    return 1 if failures else 0
