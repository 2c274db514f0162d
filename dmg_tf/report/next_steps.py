"""What to do with a finished run: commands to copy."""

import pathlib
import shlex

from dmg_tf.console.parser import command
from dmg_tf.runs.folder import REPORT_NAME

EXPORTED = "saved_model"


def next_steps(run_dir: pathlib.Path) -> dict[str, str]:
    """Returns {what for: a path or a command, as it works from here}.

    IMAGES stands for image files and folders of them.

    Args:
        run_dir: The run folder.
    """
    run = shlex.quote(str(run_dir))
    out = shlex.quote(str(run_dir / EXPORTED))
    taken = (run_dir / EXPORTED).exists()
    return {
        "look at it": shlex.quote(str(run_dir / REPORT_NAME)),
        "predict": f"{command('predict')} {run} IMAGES --csv out.csv",
        "serve": f"{command('demo')} {run}",
        "for servers" if taken else "export": out
        if taken
        else f"{command('export')} {run} {out}",
    }
