"""Names of domains, classes and files that are codes to other programs.

Line breaks, quotes, formulas, escapes of terminals, HTML, marks that turn the
order of letters, twins in Unicode, keys of our own: through check, train,
predict and report. None is run or printed as it is, none is lost; or it is
refused in one line.
"""

import collections
import csv
import os
import pathlib
import random
import re
import shutil
import sys

import numpy as np
import PIL.Image

from dmg_tf.runs.cells import original
from tests.campaign.children import flags, mains, outcome, run
from tests.cases import hostile_names

# What may be a name of anything.
ALLOWED = [
    *hostile_names.DOMAINS,
    *hostile_names.CLASSES[1:],
    "=cmd|' !A0",
    "=1+1",
    "+1",
    "@SUM(A1)",
    "-2+3",
    "'=x",
    "<script>alert(1)<script>",
    "<img src=x onerror=alert(1)>",
    "\"'><b>",
    "&lt;",
    "{{7*7}}",
    "${x}",
    "$(touch pwned)",
    "`touch pwned`",
    ";touch pwned;",
    "%s%n%d",
    "{0}{name}",
    "\\x1b[2J",
    "a,b;c",
    'quote"quote',
    "a\\nb",
    "[red]rich[-red]",
    "*",
    "?.png",
    "[a-z]",
    "~",
    "con",
    "NUL",
    "nan",
    "inf",
    "None",
    "null",
    "True",
    "0",
    "1e9",
    "path",
    "class",
    "error",
    "domain",
    "loss",
    "epoch",
    "votes",
    "__background__",
    "constructor",
    "\u202eexe.gnp",
    "\u2066a\u2069",
    "\u200bzero",
    "\ufeffbom",
    "caf\u00e9",
    "\u0130stanbul",
    "\u540d\u524d",
    "\U0001f600",
    "a\u0301",
    "\u212b",
    "\ufb01",
]
# What no domain or class is called.
REFUSED = ["a\nb", "a\rb", "a\tb", "\x1b[2Jx", "\x07", "\u2028", "\udcff\udcfe"]
HTML = re.compile(r"<(script>alert|img src=x|b>)", re.IGNORECASE)
FILES = 40


def attack(root, ground, count, seed, say=print) -> collections.Counter:
    """Names domains, classes and files, and uses them.

    A folder has up to three domains, three classes and forty files of
    hostile names; every third one has a name that no class may have.

    Args:
        root: An empty folder.
        ground: Whose run predicts, where a folder is refused.
        count: How many names.
        seed: Of the names.
        say: Told of each failure, in a line.

    Returns:
        {what happened: how often}.
    """
    root, counts, number = pathlib.Path(root), collections.Counter(), 0
    while counts["tried"] < count:
        draw = random.Random(f"{seed} {number}")
        folder = root / "data"
        names = _write(folder, draw, refused=number % 3 == 0, most=count)
        counts["tried"] += names.count
        for problem in _use(root, folder, names, ground, counts):
            counts[": ".join(problem.split(": ")[:2])] += 1
            say(f"names {number}, seed {seed}: {problem}; {names.labels}")
        shutil.rmtree(folder)
        number += 1
    return counts


class _Names:
    def __init__(self, target, labels, files):
        self.target, self.labels, self.files = target, labels, files

    @property
    def count(self):
        return len(self.labels) + len(self.files)


def _write(folder, draw, refused, most) -> _Names:
    names = draw.sample(ALLOWED, 6)
    if refused:
        names[draw.randrange(6)] = draw.choice(REFUSED)
    # A class may be called as a domain.
    domains, classes = names[:3], names[3:]
    files, number = [], 0
    rng = np.random.default_rng(draw.randrange(1 << 30))
    for domain in domains:
        for label, name in enumerate(classes):
            place = folder / domain / name
            place.mkdir(parents=True)
            for _ in range(min(FILES, most) // 9 + 1):
                stem = f"{draw.choice(ALLOWED + REFUSED)[:100]}{number}"
                stem = stem.replace("/", "|")
                pixels = rng.integers(0, 90, (32, 40, 3), np.uint8)
                pixels[..., label] += 120
                path = place / f"{stem}.png"
                PIL.Image.fromarray(pixels).save(os.fsencode(path), "PNG")
                files.append(str(path))
                number += 1
    return _Names(domains[-1], names, files)


def _use(root, folder, names, ground, counts):
    """Yields what went wrong."""
    output, table = root / "run", root / "table.csv"
    shutil.rmtree(output, ignore_errors=True)
    table.unlink(missing_ok=True)
    argv = flags(folder, "--output", output, "--method", "aggregate")
    at = argv.index("--target")
    argv[at : at + 2] = [f"--target={names.target}"]
    argv += ["--epochs", "1"]
    yield from _one(root, counts, "check", [folder], (0, 1))
    ended = []
    yield from _one(root, counts, "train", argv, ended=ended)
    model = ground.run if ended != ["done"] else output
    predict = [model, folder, "--csv", table]
    yield from _one(root, counts, "predict", predict)
    yield from _rows(table, names)
    if model == output:
        yield from _one(root, counts, "report", [output])
        page = (output / "report.html").read_text("utf-8")
        if HTML.search(page) or any(_turns(letter) for letter in page):
            yield "report: a name as it is"
    if any(pathlib.Path(p, "pwned").exists() for p in (".", root, folder)):
        yield "a name was run"


def _one(root, counts, name, argv, codes=(0,), ended=None):
    done = root / "done"
    done.unlink(missing_ok=True)

    def main(words):
        sys.addaudithook(lambda event, args: _note_shell(event, args, done))
        return mains()[name](words)

    end = run(main, argv, root / "log")
    what = "done" if end.code in codes else outcome(end)
    if "Traceback" in end.printed:
        what = "traceback"
    if ended is not None:
        ended.append(what)
    if what in ("done", "refused in a line"):
        counts[f"{name}: {what.replace('done', 'read')}"] += 1
    else:
        yield f"{name}: {what}: {end.printed.strip()[-200:]!r}"
    raw = [c for c in end.printed if c not in "\n\r" and not c.isprintable()]
    if raw:
        yield f"{name}: printed raw {sorted(set(raw))}"
    if done.exists():
        yield f"{name}: asked a shell: {done.read_text()}"


def _note_shell(event, args, file):
    if event == "os.system" or (
        event == "subprocess.Popen" and os.fsdecode(args[0]).endswith("sh")
    ):
        file.write_text(f"{event} {args}")


def _rows(table, names):
    if not table.exists():
        return
    with open(
        table, newline="", encoding="utf-8", errors="surrogateescape"
    ) as file:
        rows = list(csv.reader(file))
    for row in rows:
        for cell in row:
            number = re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", cell)
            if cell[:1] in tuple("=+-@\t\r") and not number:
                yield f"predict: a formula: {cell!r}"
    found = {original(row)[0] for row in rows[1:]}
    if len(rows) - 1 != len(names.files) or found != set(names.files):
        lost = sorted(set(names.files) - found)[:2]
        yield f"predict: files lost: {lost}, {sorted(found)[:2]}"


def _turns(letter) -> bool:
    return letter == "\x1b" or letter in "\u202e\u2066\u2067\u202d"
