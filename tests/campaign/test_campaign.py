"""The campaign: a short one finds nothing, and a planted fault is found."""

import json
import os
import pathlib

import pytest

from tests.campaign import __main__ as campaign
from tests.campaign import kills
from tests.campaign.children import End
from tests.conftest import ROOT
from tests.forked import Forked

# What a short campaign is asked for, of each part.
SHORT = {
    "kills": 4,
    "images": 12,
    "damages": 1,
    "weights": 100,
    "names": 15,
    "pairs": 2,
    "requests": 40,
}
CHEAP = ("cache fill", "report")


@pytest.mark.slow
def test_a_short_campaign_finds_nothing(tmp_path):
    """In a process of its own: what forks must compute nothing."""
    file = tmp_path / "counts.json"
    argv = [f"--{part}={count}" for part, count in SHORT.items()]
    argv += ["--lives", *CHEAP, "--json", str(file)]
    code, printed, errors = Forked(campaign.main, argv).finish()
    assert code == 0, printed + errors
    assert printed.endswith("\n0 failures\n")
    (row,) = json.loads(file.read_text())
    counts = row["counts"]
    assert set(SHORT) == set(campaign.PARTS) == set(counts)
    assert counts["kills"]["kills"] == SHORT["kills"]
    assert counts["kills"]["lives compared"] >= 1
    for part in ("damages", "weights", "pairs", "requests"):
        assert counts[part]["tried"] == SHORT[part]
    for part in ("predict", "check"):
        assert counts["images"][f"{part}: tried"] == SHORT["images"]
    assert counts["names"]["tried"] >= SHORT["names"]
    assert counts["requests"]["afterwards: answered 200"] == 1


def write_slowly(out, text, whole):
    """A command that writes a file, in one step or not."""
    place = out / "predictions.csv"
    if whole:
        half = out / "half"
        half.write_text(text)
        os.replace(half, place)
        return 0
    with open(place, "a") as file:  # what was there stays, and is doubled
        file.write(text)
    (out / "end").touch()
    return 0


def attack_writer(root, whole):
    """Prints what is counted where a command that writes a file is killed."""
    life = kills.Life(
        "writer",
        lambda argv: write_slowly(pathlib.Path(argv[0]), "text", whole),
        lambda out: [out],
    )
    kills.SIGNALS = {"SIGKILL before a change of a file": None}
    counts = kills.attack(root, 12, 0, [life], say=lambda *_, **__: None)
    print(json.dumps(counts))
    return 0


@pytest.mark.parametrize("whole", [True, False])
def test_a_command_that_leaves_something_else_is_found(tmp_path, whole):
    code, printed, errors = Forked(attack_writer, tmp_path, whole).finish()
    assert code == 0, errors
    counts = json.loads(printed)
    assert counts["kills"] == 12
    bad = {key for key in counts if campaign._bad(key)}
    assert bad == (set() if whole else {"writer: other contents"})


def test_what_differs_is_told():
    whole = {"model.keras": "1", "history.csv": "2"}
    for found, words in (
        (whole, None),
        ({**whole, "model.keras": "3"}, "other contents: ['model.keras']"),
        ({**whole, ".half": "there"}, "files left: ['.half']"),
        ({"history.csv": "2"}, "files missing: ['model.keras']"),
    ):
        assert kills.difference(found, whole) == words


@pytest.mark.parametrize(
    "printed, code, words",
    [
        ("all is well", 0, "done"),
        ("error: no file\n", 2, "refused in a line"),
        ("error: one\nerror: two\n", 2, "exit code 2"),
        ("Traceback (most recent call last):", 0, "traceback"),
        ("", -11, "exit code -11"),
    ],
)
def test_outcomes(printed, code, words):
    from tests.campaign.children import outcome

    assert outcome(End(code, printed, 0.0)) == words
    assert campaign._bad(words) == (words not in ("refused in a line",))


@pytest.mark.parametrize(
    "code, printed, trouble",
    [
        (130, "interrupted; --resume goes on\n", False),
        (130, 'Traceback:\n  File "nest.py", line 7\ninterrupted\n', False),
        (130, f'Traceback:\n  File "{ROOT}/dmg_tf/a.py"\ninterrupted\n', True),
        (1, 'Traceback:\n  File "nest.py", line 7\nSystemError\n', True),
        (2, "error: cannot read\n", True),
    ],
)
def test_how_an_interruption_may_end(code, printed, trouble):
    assert bool(kills._ended_badly(End(code, printed, 0.0))) == trouble
