"""Runs, searches and exports that are killed, and gone on with.

Whatever the moment, the same command goes on and leaves what an unbroken one
does: the same weights bit for bit, the same history and results, and no file
beside.
"""

import collections
import csv
import hashlib
import json
import pathlib
import random
import re
import shutil
import signal

from dmg_tf.console.parser import program
from tests.campaign.children import (
    Kill,
    flags,
    mains,
    run,
    side_by_side,
    well,
)
from tests.conftest import ROOT

CLOCKS = ("seconds", "images_per_second")
# Fields of results.json that no two runs have alike.
VARIES = (*CLOCKS, "timing", "environment")
SIGNALS = {
    "SIGKILL before a change of a file": None,
    "SIGKILL at any moment": (signal.SIGKILL,),
    "SIGTERM at any moment": (signal.SIGTERM,),
    "SIGINT at any moment": (signal.SIGINT,),
    "SIGINT twice": (signal.SIGINT, signal.SIGINT),
}


class Life:
    """A command that is killed and started again.

    Args:
        name: What it is called.
        main: (argv) -> exit code.
        argv: (output folder) -> arguments of the first start.
        again: Arguments that are added when it goes on.
        prepare: (output folder) -> None, before the first start.
        weight: How often it is chosen: what takes less time, more often.
        complete: What it says, with exit code 2, where all was done before.
    """

    def __init__(
        self,
        name,
        main,
        argv,
        again=(),
        prepare=lambda out: None,
        weight=1,
        complete=None,
    ):
        self.name, self.main, self.argv = name, main, argv
        self.again, self.prepare = list(again), prepare
        self.weight, self.complete = weight, complete


def lives(ground) -> list[Life]:
    """Returns the commands that are attacked."""
    programs, data = mains(), ground.data

    def train(*more):
        return lambda out: flags(data, "--output", out / "run", *more)

    def cache(out):
        return flags(
            data,
            *("--output", out / "run", "--method", "aggregate"),
            *("--cache", "disk", "--cache-dir", out / "cache"),
        )

    @program()
    def fill(argv):
        from dmg_tf.data.streams.cache import DiskCache

        folder, *paths = argv
        DiskCache(folder, 32).fill(paths)
        return 0

    def search(out):
        return flags(
            data,
            *("--output", out / "search", "--max-trials", "2"),
            *("--siou-weights", "0", "0.1", "--epochs", "1"),
        )

    def sweep(out):
        return [
            *("--data", data, "--output", out / "sweep", "--weights", "none"),
            *("--backbones", "stub", "--methods", "aggregate"),
            *("--targets", "photo", "sketch", "--epochs", "1"),
            *("--image-size", "32", "--batch-size", "4"),
        ]

    def copied(out):
        shutil.copytree(ground.run, out / "run")

    images = sorted(map(str, data.rglob("*.png")))
    return [
        Life("dmg", programs["train"], train(), ["--resume"]),
        Life(
            "aggregate, exported",
            programs["train"],
            train("--method", "aggregate", "--export"),
            ["--resume"],
        ),
        Life("run on a disk cache", programs["train"], cache, ["--resume"]),
        Life(
            "finished run, more epochs",
            programs["train"],
            train("--method", "aggregate", "--epochs", "3", "--resume"),
            prepare=copied,
        ),
        Life("search", programs["search"], search),
        Life("sweep", programs["sweep"], sweep),
        Life(
            "export",
            programs["export"],
            lambda out: [ground.run, out / "saved"],
            weight=3,
            complete="is not empty",
        ),
        Life(
            "report",
            programs["report"],
            lambda out: [out / "run"],
            prepare=copied,
            weight=6,
        ),
        Life(
            "cache fill",
            fill,
            lambda out: [out / "cache", *images],
            weight=6,
        ),
    ]


def lived(life, out):
    """Lets a command live undisturbed; returns its end and what it left."""
    out.mkdir(parents=True)
    life.prepare(out)
    log = out.with_name(f"{out.name}.log")
    end = well(run(life.main, life.argv(out), log, watched=out))
    return end, fingerprint(out)


def fingerprint(folder) -> dict[str, str]:
    """Returns {file: digest of what must be alike} of all that was left."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or "/logs/" in f"/{name}":
            continue
        found[name] = _digest(path, folder)
    return found


def _digest(path, folder) -> str:
    if path.name in ("history.csv", "results.csv"):
        with open(path, newline="") as file:
            rows = [
                {k: v for k, v in row.items() if k not in CLOCKS}
                for row in csv.DictReader(file)
            ]
        return json.dumps(rows)
    if path.name == "results.json":
        text = path.read_text().replace(str(folder), "")
        return json.dumps(_steady(json.loads(text)))
    # Predictions, an export's weights, kept images.
    if path.name.startswith(
        ("predictions.csv", "metrics.csv", "variables.")
    ) or (not path.suffix and len(path.parent.name) == 2):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if path.name == "model.keras":
        return json.dumps(_arrays(path))
    # Of others, that they are there: they hold clocks, paths and draws.
    return "there"


def _steady(value):
    """Returns what two runs have alike of a value of JSON."""
    if isinstance(value, list):
        return [_steady(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {k: _steady(value[k]) for k in value if k not in VARIES}


def _arrays(path) -> dict[str, str]:
    """Returns {weight: digest} of a saved model, without TensorFlow."""
    import io
    import zipfile

    import h5py

    found = {}
    with zipfile.ZipFile(path) as archive:
        contents = archive.read("model.weights.h5")
    with h5py.File(io.BytesIO(contents)) as file:

        def add(name, item):
            if isinstance(item, h5py.Dataset):
                found[name] = hashlib.sha256(item[()].tobytes()).hexdigest()

        file.visititems(add)
    return found


def attack(root, count, seed, chosen, jobs=1, say=print) -> collections.Counter:
    """Kills commands and goes on with them.

    A command is killed up to eight times, each time it is started again, until
    it ends by itself; then all it left is compared. A kill that comes too late
    is none.

    Args:
        root: An empty folder.
        count: How many kills.
        seed: Of the choice of commands and moments.
        chosen: The commands, each a `Life`.
        jobs: How many commands live at a time.
        say: Told of each failure, in a line.

    Returns:
        {"kind of kill: tried", or what failed: how often}.
    """
    root = pathlib.Path(root)
    unbroken = {}
    for life in chosen:
        unbroken[life.name] = lived(life, root / "whole" / life.name)

    def part(number):
        place = root / f"part{number}"
        place.mkdir()
        share = count // jobs + (number < count % jobs)
        draw = random.Random(f"{seed} {number}")
        return lambda: _kill(place, share, draw, chosen, unbroken, say)

    return side_by_side([part(number) for number in range(jobs)], root)


def _kill(root, count, draw, chosen, unbroken, say):
    counts = collections.Counter()
    weights = [life.weight for life in chosen]
    while counts["kills"] < count:
        (life,) = draw.choices(chosen, weights)
        whole, expected = unbroken[life.name]
        out = root / "broken"
        out.mkdir()
        life.prepare(out)
        wanted = min(draw.randint(1, 8), count - counts["kills"])
        moments, argv, trouble, landed = [], life.argv(out), None, 0
        while landed < wanted and not trouble:
            kind, signals = draw.choice(list(SIGNALS.items()))
            # Early ones more often: they take less time, and late ones end
            # the life.
            share = draw.random() ** 2
            if signals:
                kill = Kill(
                    str(out), seconds=share * whole.seconds, signals=signals
                )
            else:
                kill = Kill(str(out), change=1 + int(share * whole.changes))
            end = run(life.main, argv, root / "log", kill)
            moments.append(f"{kind} {kill.change or round(kill.seconds, 2)}")
            argv = [*life.argv(out), *life.again]
            if not end.code or _was_complete(life, end):
                counts[f"{kind}: finished before"] += 1
                break
            landed += 1
            counts["kills"] += 1
            counts[f"{kind}: tried"] += 1
            trouble = _ended_badly(end)
        if not trouble:
            end = run(life.main, argv, root / "log")
            trouble = _gone_on_badly(life, end, expected, out)
        counts[f"{life.name}: kills"] += landed
        counts["lives compared"] += 1
        if trouble:
            counts[f"{life.name}: {trouble.split(':')[0]}"] += 1
            say(f"{life.name}, {moments}: {trouble}: {_last(end)}", flush=True)
            if trouble.startswith("traceback"):
                say(end.printed[-4000:], flush=True)
        shutil.rmtree(out)
    return counts


def _was_complete(life, end) -> bool:
    return (
        bool(life.complete) and end.code == 2 and (life.complete in end.printed)
    )


def _ended_badly(end) -> str | None:
    # Behind the line that says so, a second interruption meets Python's own
    # clean-up, which shows it. Before it, what TensorFlow's C++ was importing
    # is shown by Python itself: no line of this package is in that.
    before = end.printed.partition("\ninterrupted; ")[0]
    told = end.code == 130 and _last_line(end).startswith("interrupted")
    ours = str(ROOT / "dmg_tf") in before
    if "Traceback" in before and (ours or not told):
        places = re.findall(r'File ".*/(.*)", line (\d+)', end.printed)
        return f"traceback: {places[-3:]}"
    if end.code not in (0, 130, 143, -signal.SIGKILL, -signal.SIGTERM):
        return "another exit code"
    return None


def _gone_on_badly(life, end, expected, out) -> str | None:
    if end.code and not _was_complete(life, end):
        return "did not go on"
    found = fingerprint(out)
    if end.code:
        # A command that has nothing to do leaves a lock that nobody holds.
        found = {n: found[n] for n in found if not n.endswith(".lock")}
    return difference(found, expected)


def difference(found, expected) -> str | None:
    """Returns how two fingerprints differ, or None."""
    beside = sorted(set(found) - set(expected))
    if beside:
        return f"files left: {beside}"
    missing = sorted(set(expected) - set(found))
    if missing:
        return f"files missing: {missing}"
    other = sorted(name for name in found if found[name] != expected[name])
    return f"other contents: {other}" if other else None


def _last(end) -> str:
    return f"exit code {end.code}, {_last_line(end)[-150:]}"


def _last_line(end) -> str:
    return (end.printed.strip().splitlines() or [""])[-1]
