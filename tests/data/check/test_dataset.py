"""The check as a whole: sound data, counts, order, the command line."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from dmg_tf.commands.check_data import main, make_parser
from dmg_tf.data.check.dataset import check_dataset
from dmg_tf.data.check.problems import KINDS, Problems
from dmg_tf.data.check.text import report_text
from dmg_tf.data.datasets.domainnet import load as load_domainnet
from dmg_tf.data.datasets.folder import load
from dmg_tf.data.datasets.pacs import load as load_pacs
from tests.conftest import ROOT
from tests.data.check import damage as d
from tests.data.check.checking import problems_of
from tests.data.check.damage import CLASSES, DOMAINS
from tests.data.check.test_folder import FOLDER_CASES
from tests.data.check.test_lists import LIST_CASES
from tests.forked import Forked

# === A sound dataset ===


@pytest.mark.parametrize("layout", ["folder", "pacs", "domainnet"])
@pytest.mark.parametrize("fast", [False, True])
def test_a_sound_dataset_has_no_problems(originals, layout, fast):
    report = check_dataset(originals / layout, fast=fast)
    assert report["problems"] == [] and report["dataset"] == layout
    assert report["errors"] == report["warnings"] == report["notes"] == 0
    assert list(report["domains"]) == list(DOMAINS)
    assert report["class_names"] == list(CLASSES)
    assert bool(report["looks"]) != fast
    text = report_text(report)
    assert "No problems found" in text and ("--fast" in text) == fast


@pytest.mark.parametrize(
    "layout,loader",
    [("folder", load), ("pacs", load_pacs), ("domainnet", load_domainnet)],
)
def test_counts_are_those_of_training(originals, layout, loader):
    report = check_dataset(originals / layout, fast=True)
    for target in DOMAINS:
        counts = loader(originals / layout, target).counts()
        scored = report["domains"][target]
        known = scored["test"] if "test" in scored else scored["images"]
        assert counts.pop("out_of_domain") == {target: known}
        for split, by_domain in counts.items():
            for domain, count in by_domain.items():
                assert report["domains"][domain][split] == count
                by_class = report["counts"][domain].values()
                assert sum(row[split] for row in by_class) == count


def test_sizes_and_formats(originals):
    looks = check_dataset(originals / "folder")["looks"]
    assert looks["art"] == {
        "width": [48, 48, 48],
        "height": [40, 40, 40],
        "formats": {"PNG": 20},
        "pixels": {"RGB": 20},
    }


def test_every_kind_has_a_case():
    tested = {case[1] for case in FOLDER_CASES} | {c[2] for c in LIST_CASES}
    # Tests run as root, for whom every folder can be read.
    assert set(KINDS) - tested == {"unreadable_folder"}


def test_all_problems_are_listed_worst_first(copy_of):
    root = copy_of("pacs")
    for damage in (
        d.grey,
        d.copy_across_domains,
        d.truncate,
        d.remove_class,
        d.hide,
    ):
        damage(root)
    d.shift_labels(root)
    report = check_dataset(root)
    order = [p["severity"] for p in report["problems"]]
    assert order == sorted(order, key=["error", "warning", "note"].index)
    assert {"error", "note"} <= set(order)
    # 8 + 2 + 10 lines without a file; three of them by name.
    problem = problems_of(report)["no_file"]
    assert problem["count"] == 20 and len(problem["examples"]) == 3
    more = problems_of(check_dataset(root, fast=True, max_examples=100))
    assert len(more["no_file"]["examples"]) == 20


def test_unknown_kind_of_problem():
    with pytest.raises(ValueError, match="unknown kind"):
        Problems().add("odd", "x")


def test_many_classes_do_not_fill_the_screen(tmp_path):
    classes = [f"c{i:03d}" for i in range(345)]
    for domain in DOMAINS:
        for name in classes:
            (tmp_path / domain / name).mkdir(parents=True)
            (tmp_path / domain / name / "0.png").write_text("")
            (tmp_path / domain / name / "1.png").write_text("")
    shutil.rmtree(tmp_path / "art" / "c300")
    report = check_dataset(tmp_path, fast=True)
    text = report_text(report)
    assert len(text.splitlines()) < 60 and "the other 325" in text
    # the poorest class comes first
    assert text.index("c300") < text.index("c000")
    assert len(report["counts"]["art"]) == 345


# === The command line ===


def test_exit_codes(originals, copy_of, capsys):
    assert main([str(originals / "folder"), "--fast"]) == 0
    root = copy_of("folder")
    d.hide(root)
    assert main([str(root), "--fast"]) == 0
    assert "1 kind of note" in capsys.readouterr().out
    d.rename_class(root)
    assert main([str(root), "--fast"]) == 1
    out = capsys.readouterr().out
    assert "1 kind of error, 1 kind of note" in out


@pytest.mark.parametrize(
    "argv,match",
    [
        (["nowhere"], "nowhere does not exist; expected a folder of domains"),
        ([__file__], "is not a folder"),
        ([], "required: DIR"),
        ([".", "--dataset", "imagenet"], "invalid choice: 'imagenet'"),
        ([".", "--examples", "0"], "expected 1 or more, got 0"),
    ],
)
def test_wrong_usage(argv, match, capsys):
    try:
        code = main(argv)
    except SystemExit as stop:
        code = stop.code
    printed = capsys.readouterr()
    assert code == 2 and printed.out == ""
    assert printed.err.startswith("error: ") and match in printed.err
    assert len(printed.err.splitlines()) == 1


def test_json(copy_of, capsys):
    root = copy_of("folder")
    d.odd_name(root)
    d.truncate(root)
    assert main([str(root), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["counts"]["art"]["cat"] == {
        "images": 11,
        "train": 10,
        "validation": 1,
    }
    assert problems_of(report)["unreadable"]["count"] == 1


def test_fast_reads_no_image_and_loads_no_tensorflow(copy_of):
    root = copy_of("pacs")
    d.truncate(root)
    code = (
        "import sys, dmg_tf_command\n"
        "from dmg_tf.commands.check_data import main\n"
        f"code = main([{str(root)!r}, '--fast'])\n"
        "sys.exit(code or 3 * ('tensorflow' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0 and done.stderr == ""


def test_redirected_output_is_plain_and_complete(copy_of):
    root = copy_of("folder")
    d.truncate(root)
    d.odd_name(root)
    code, out, errors = Forked(main, [str(root)]).finish()
    assert code == 1 and errors == ""
    assert "\x1b" not in out and "[bold]" in out and "\\udce9" in out


@pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="needs a device that is full"
)
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_full_disk_is_not_taken_for_bad_data(originals, flags):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "dmg_tf.data.check",
                str(originals / "folder"),
                "--fast",
                *flags,
            ],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr == (
        "error: cannot write the report: No space left on device\n"
    )


def test_plain_text_has_no_colour(originals, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    report = check_dataset(originals / "folder", fast=True)
    assert "\x1b" not in report_text(report)


def test_help_names_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        make_parser().parse_args(["--help"])
    out = capsys.readouterr().out
    assert "exit code is 1 when there are errors" in " ".join(out.split())


# === The real benchmark ===


@pytest.mark.data
def test_real_pacs_is_sound(pacs):
    report = check_dataset(pacs, fast=True)
    assert report["errors"] == report["warnings"] == 0
    assert {d: list(n.values()) for d, n in report["domains"].items()} == {
        "art_painting": [2048, 1840, 208, 2048],
        "cartoon": [2344, 2107, 237, 2344],
        "photo": [1670, 1499, 171, 1670],
        "sketch": [3929, 3531, 398, 3929],
    }
