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
import shutil
import signal

from tests.campaign.children import Kill, flags, mains, make_data, run

CLOCKS = ("seconds", "images_per_second")
# Fields of results.json that no two runs have alike.
VARIES = ("timing", "environment")
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
    """

    def __init__(self, name, main, argv, again=(), prepare=None):
        self.name, self.main, self.argv = name, main, argv
        self.again, self.prepare = list(again), prepare


def lives(root) -> list[Life]:
    """Returns the commands that are attacked."""
    programs = mains()
    data = make_data(root / "data")

    def train(*more):
        return lambda out: flags(data, "--output", out / "run", *more)

    finished = root / "finished"
    end = run(
        programs["train"],
        flags(data, "--output", finished, "--method", "aggregate"),
        root / "finished.log",
    )
    if end.code:
        raise RuntimeError(end.printed)

    def cache(out):
        return flags(
            data,
            *("--output", out / "run", "--method", "aggregate"),
            *("--cache", "disk", "--cache-dir", out / "cache"),
        )

    def search(out):
        return flags(
            data,
            *("--output", out / "search", "--max-trials", "2"),
            *("--siou-weights", "0", "0.1", "--epochs", "1"),
        )

    return [
        Life("dmg", programs["train"], train(), ["--resume"]),
        Life(
            "aggregate, exported",
            programs["train"],
            train("--method", "aggregate", "--export"),
            ["--resume"],
        ),
        Life("disk cache", programs["train"], cache, ["--resume"]),
        Life("search", programs["search"], search),
        Life(
            "export",
            programs["export"],
            lambda out: [finished, out / "saved"],
        ),
    ]


def fingerprint(folder) -> dict[str, str]:
    """Returns {file: digest of what must be alike} of all that was left."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or "/logs/" in f"/{name}":
            continue
        found[name] = _digest(path)
    return found


def _digest(path) -> str:
    if path.name == "history.csv":
        with open(path, newline="") as file:
            rows = [
                {k: v for k, v in row.items() if k not in CLOCKS}
                for row in csv.DictReader(file)
            ]
        return json.dumps(rows)
    if path.name == "predictions.csv":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if path.name == "model.keras":
        return json.dumps(_arrays(path))
    # Of others, that they are there: they hold clocks, paths and draws.
    return "there"


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


def attack(root, count, seed, say=print) -> collections.Counter:
    """Kills commands and goes on with them.

    Args:
        root: An empty folder.
        count: How many kills.
        seed: Of the choice of commands and moments.
        say: Told of each failure, in a line.

    Returns:
        {(kind of kill, "tried" or what failed): how often}.
    """
    root = pathlib.Path(root)
    counts = collections.Counter()
    chosen = lives(root)
    whole, changes, seconds = {}, {}, {}
    for life in chosen:
        out = root / "whole" / life.name
        out.mkdir(parents=True)
        end = run(life.main, life.argv(out), root / "whole.log", watched=out)
        if end.code:
            raise RuntimeError(f"{life.name}: {end.printed}")
        whole[life.name] = fingerprint(out)
        changes[life.name], seconds[life.name] = end.changes, end.seconds
    draw = random.Random(seed)
    while counts["kills"] < count:
        life = draw.choice(chosen)
        kind, signals = draw.choice(list(SIGNALS.items()))
        out = root / "broken"
        out.mkdir()
        moments, argv = [], life.argv(out)
        for _ in range(draw.choice((1, 1, 2))):
            kill = Kill(str(out), seconds=draw.random() * seconds[life.name])
            if signals:
                kill = Kill(str(out), seconds=kill.seconds, signals=signals)
            else:
                number = draw.randint(1, changes[life.name])
                kill = Kill(str(out), change=number)
            end = run(life.main, argv, root / "log", kill)
            moments.append(kill.change or round(kill.seconds, 2))
            counts["kills"] += 1
            counts[kind, "tried"] += 1
            trouble = _ended_badly(end)
            if trouble:
                counts[kind, trouble] += 1
                say(f"{life.name}, {kind} {moments}: {trouble}: {_last(end)}")
            argv = [*life.argv(out), *life.again]
        end = run(life.main, argv, root / "log")
        trouble = _gone_on_badly(end, whole[life.name], out)
        if trouble:
            counts[kind, trouble.split(":")[0]] += 1
            say(f"{life.name}, {kind} {moments}: {trouble}")
        shutil.rmtree(out)
    return counts


def _ended_badly(end) -> str | None:
    if "Traceback" in end.printed:
        return "traceback"
    if end.code not in (0, 130, 143, -signal.SIGKILL, -signal.SIGTERM):
        return "another exit code"
    return None


def _gone_on_badly(end, expected, out) -> str | None:
    if end.code:
        return f"did not go on: {_last(end)}"
    found = fingerprint(out)
    beside = sorted(set(found) - set(expected))
    if beside:
        return f"files left: {beside}"
    missing = sorted(set(expected) - set(found))
    if missing:
        return f"files missing: {missing}"
    other = sorted(name for name in found if found[name] != expected[name])
    return f"other contents: {other}" if other else None


def _last(end) -> str:
    lines = end.printed.strip().splitlines() or [""]
    return f"exit code {end.code}, {lines[-1][-150:]}"
