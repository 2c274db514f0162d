"""Two processes that do the same in one place, at the same time.

One is refused in one line, or both are right; what is left is what one alone
would have left.
"""

import collections
import pathlib
import random
import shutil
import time

from tests.campaign.children import outcome, start
from tests.campaign.kills import difference, fingerprint, lived


def attack(root, chosen, count, seed, say=print) -> collections.Counter:
    """Starts commands twice.

    Args:
        root: An empty folder.
        chosen: The commands, each a `kills.Life`.
        count: How many pairs.
        seed: Of the choice of commands, and of how much later one begins.
        say: Told of each failure, in a line.

    Returns:
        {what happened: how often}.
    """
    root, draw = pathlib.Path(root), random.Random(seed)
    counts, alone = collections.Counter(), {}
    for number in range(count):
        (life,) = draw.choices(chosen, [life.weight for life in chosen])
        if life.name not in alone:
            alone[life.name] = lived(life, root / "alone" / life.name)
        end, expected = alone[life.name]
        out, later = root / "both", draw.random() ** 2 * end.seconds
        out.mkdir()
        life.prepare(out)
        first = start(life.main, life.argv(out), root / "first.log")
        time.sleep(later)
        argv = [*life.argv(out), *draw.choice(([], life.again))]
        second = start(life.main, argv, root / "second.log")
        ends = [first.end(), second.end()]
        ways = sorted(map(outcome, ends))
        trouble = None
        if ways not in (["done", "done"], ["done", "refused in a line"]):
            trouble = " and ".join(ways)
        else:
            trouble = difference(fingerprint(out), expected)
        counts["tried"] += 1
        if trouble:
            counts[f"{life.name}: {trouble.split(':')[0]}"] += 1
            said = [end.printed.strip().splitlines()[-1:] for end in ends]
            say(f"pair {number}, {life.name}, {later:.2f} s later: {trouble}")
            say(f"  {said}")
        elif ways == ["done", "done"]:
            counts[f"{life.name}: both right"] += 1
        else:
            counts[f"{life.name}: refused in a line"] += 1
        shutil.rmtree(out)
    return counts
