"""Damaged files of run folders and exports, and the commands that read them.

Each is told in one line that names the file, or changes nothing of what the
command says.
"""

import collections
import functools
import pathlib
import random
import re
import shutil

from tests.campaign.children import mains, outcome, run, well
from tests.cases.damage import damages

# Of what a command prints: clocks, and what a note says beside the answer.
_CLOCKS = re.compile(r'"(seconds|total_seconds|.*images_per_second)": .*')


def attack(root, ground, count, seed, say=print) -> collections.Counter:
    """Damages files, one at a time, and reads them.

    Args:
        root: An empty folder.
        ground: What there is to be damaged.
        count: How many damages.
        seed: Of the damage, and of the command that reads.
        say: Told of each failure, in a line.

    Returns:
        {what happened: how often}.
    """
    root, draw = pathlib.Path(root), random.Random(seed)
    programs, counts = mains(), collections.Counter()
    data, whole, broken = ground.data, ground.run, root / "broken"

    def commands(folder):
        return {
            "evaluate": ["evaluate", folder, "--json"],
            "report": ["report", folder],
            "train": [*("train", *ground.argv, "--output", folder, "--resume")],
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

    @functools.cache
    def expected(name):
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(whole, broken)
        return _plain(well(answer(broken, name)))

    # Whether a command reads a file at all is not asked: that it does not
    # is "no effect".
    files = [
        path
        for path in sorted(whole.rglob("*"))
        if path.is_file() and path.stat().st_size and "logs" not in path.parts
    ]
    for path, contents in damages(files, count, seed):
        in_export = "saved_model" in path.relative_to(whole).parts
        names = [
            name
            for name in commands(broken)
            if (name == "predict an export") == in_export
        ]
        name = draw.choice(names)
        usual = expected(name)
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(whole, broken)
        place = broken / path.relative_to(whole)
        place.write_bytes(contents)
        end = answer(broken, name)
        what = outcome(end)
        if what == "done":
            same = _plain(end) == usual
            what = "no effect" if same else "other output"
        counts["tried"] += 1
        counts[what] += 1
        if not what.startswith(("refused", "no effect")):
            last = (end.printed.strip().splitlines() or [""])[-1][-150:]
            say(f"{name}, {path.relative_to(whole)}: {what}: {last}")
    return counts


def _plain(end) -> str:
    return _CLOCKS.sub("", end.printed)
