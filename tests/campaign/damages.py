"""Damaged files of run folders and exports, and the commands that read them.

Each is told in one line that names the file, or changes nothing of what the
command says.
"""

import collections
import pathlib
import random
import re
import shutil

from tests.campaign.children import flags, mains, make_data, run
from tests.cases.damage import damages

# Of what a command prints: clocks, and what a note says beside the answer.
_CLOCKS = re.compile(r'"(seconds|total_seconds|.*images_per_second)": .*')


def attack(root, count, seed, say=print) -> collections.Counter:
    """Damages files, one at a time, and reads them.

    Args:
        root: An empty folder.
        count: How many damages.
        seed: Of the damage, and of the command that reads.
        say: Told of each failure, in a line.

    Returns:
        {what happened: how often}.
    """
    root, draw = pathlib.Path(root), random.Random(seed)
    programs, counts = mains(), collections.Counter()
    data = make_data(root / "data")
    whole, broken = root / "whole", root / "broken"
    argv = flags(data, "--method", "aggregate", "--export")
    _well(run(programs["train"], [*argv, "--output", whole], root / "log"))

    def commands(folder):
        return {
            "evaluate": ["evaluate", folder, "--json"],
            "report": ["report", folder],
            "train": ["train", *argv, "--output", folder, "--resume"],
            "predict": ["predict", folder, data / "sketch"],
            "predict an export": [
                *("predict", folder / "saved_model", data / "sketch")
            ],
            "export": ["export", folder, root / "out"],
        }

    def answer(folder, name):
        shutil.rmtree(root / "out", ignore_errors=True)
        main, *words = commands(folder)[name]
        return run(programs[main], words, root / "log")

    shutil.copytree(whole, broken)
    expected = {
        name: _plain(_well(answer(broken, name))) for name in commands(broken)
    }
    # Whether a command reads a file at all is not asked: that it does not
    # is "no effect".
    files = [
        path
        for path in sorted(whole.rglob("*"))
        if path.is_file() and path.stat().st_size and "logs" not in path.parts
    ]
    for path, contents in damages(files, count, seed):
        shutil.rmtree(broken)
        shutil.copytree(whole, broken)
        place = broken / path.relative_to(whole)
        place.write_bytes(contents)
        in_export = "saved_model" in path.relative_to(whole).parts
        names = [n for n in expected if (n == "predict an export") == in_export]
        name = draw.choice(names)
        end = answer(broken, name)
        what = _outcome(end, expected[name])
        counts["tried"] += 1
        counts[what] += 1
        if not what.startswith(("refused", "no effect")):
            last = (end.printed.strip().splitlines() or [""])[-1][-150:]
            say(f"{name}, {path.relative_to(whole)}: {what}: {last}")
    return counts


def _outcome(end, expected) -> str:
    errors = [x for x in end.printed.splitlines() if x.startswith("error: ")]
    if "Traceback" in end.printed:
        return "traceback"
    if end.code == 2 and len(errors) == 1:
        return "refused in a line"
    if end.code:
        return f"exit code {end.code}"
    return "no effect" if _plain(end) == expected else "other output"


def _plain(end) -> str:
    return _CLOCKS.sub("", end.printed)


def _well(end):
    if end.code:
        raise RuntimeError(end.printed)
    return end
