"""The page says what the files say, and what is not there."""

import re
import shutil

import pytest

from dmg_tf.studies.evidence.compact import read_runs
from dmg_tf.studies.evidence.page import page_text, write_page
from dmg_tf.studies.protocols import read_protocols
from tests.conftest import ROOT
from tests.studies.evidence.runs import PROTOCOL, write_file

ALL = {PROTOCOL.name: PROTOCOL}


def text_of(folder):
    runs = read_runs(folder / "runs", PROTOCOL)
    return page_text(ALL, {PROTOCOL.name: runs})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All runs of three targets and two seeds."""
    folder = tmp_path_factory.mktemp("evidence")
    for number, target in enumerate("abc"):
        for seed in (0, 1):
            noise = 0.01 * number + 0.002 * seed
            accuracies = {
                "aggregate": (0.80, 0.50),
                "dmg": (0.70 + noise, 0.52 + noise),
                "dmg:siou-weight=1": (0.6, 0.4),
            }
            for variant, (inside, outside) in accuracies.items():
                write_file(folder, variant, target, seed, inside, outside)
    return folder


@pytest.fixture(scope="module")
def text(folder):
    return text_of(folder)


def test_the_answer_has_differences_and_intervals(text):
    answer = re.search(r"- \*\*Small\.\*\* (.*)", text)[1]
    # out of domain 0.02 + noise: 2.0, 2.2, 3.0, 3.2, 4.0, 4.2, mean 3.1; their
    # standard deviation is 0.9011, so t(5) * 0.9011 / sqrt(6) = 0.9457
    assert answer.startswith(
        "DMG minus Aggregate (6 of 6 pairs): out of domain +3.1 (+2.2 to +4.0) "
        "points, better, in domain -8.9 (-9.8 to -8.0) points, worse; "
    )
    assert "DMG minus DMG, official code: not run yet" in answer
    assert answer.endswith("DMG trained 1.50 times as long as Aggregate.")


def test_where_the_domain_is_known(text):
    """DMG has 2 points more by its own masks; Aggregate has but one rule."""
    row = next(r for r in text.splitlines() if r.startswith("| Small | DMG m"))
    assert [cell.split(" (")[0].strip() for cell in row.split("|")[3:6]] == [
        "+3.1",
        "-8.9",
        "-6.9",
    ]


def test_by_target(text):
    assert "| DMG minus Aggregate | +2.1 | +3.1 | +4.1 |" in text


def test_rules_in_small(text):
    """Another's mask: 0.1 and 0.2 below, beside the diagonal of Table 4."""
    part = text.partition("by prediction rule")[2].partition("| DMG |")[2]
    rows = [re.split(r" *\| *", line) for line in part.splitlines()[:3]]
    assert rows[0][0].strip() == "Pred-Ens"
    assert rows[0][1:3] == ["71.10 ± 0.10", "53.10 ± 0.10"]
    assert rows[1][2:5] == ["known domain", "73.10 ± 0.10", "-"]
    assert rows[2][2:5] == ["another domain's mask", "56.10 ± 0.10", "-"]


def test_masks(text):
    assert "| DMG | 75.00 ± 0.00 | 62.50 ± 0.00 |" in text.replace("|  |", "|")


def test_what_was_made_where(text):
    assert "| Ryzen, AVX-512 | 0123456 | 18 |" in text
    assert "What is missing" not in text


def test_figures_are_drawn(folder):
    names = {path.name for path in write_page(ALL, folder)}
    assert names == {
        "README.md",
        "differences.png",
        "small_sensitivity_siou_weight_1.png",
    }
    text = (folder / "README.md").read_text("utf-8")
    for name in names - {"README.md"}:
        assert (folder / name).exists() and f"]({name})" in text


def test_nothing_is_said_of_nothing(tmp_path):
    assert [path.name for path in write_page(ALL, tmp_path)] == ["README.md"]
    text = (tmp_path / "README.md").read_text("utf-8")
    assert "no run has been made" in text
    assert "| Small | 0 | 18 | " in text
    assert "±" not in text.partition("## What is missing")[2]


def test_the_page_is_made_of_its_files(tmp_path):
    """`make evidence ARGS="--at-most 0"` writes it again."""
    folder = shutil.copytree(ROOT / "docs" / "evidence", tmp_path / "pages")
    before = (folder / "README.md").read_text("utf-8")
    write_page(read_protocols(folder / "protocols.yaml"), folder)
    assert (folder / "README.md").read_text("utf-8") == before


def test_a_single_pair_is_no_proof(tmp_path):
    write_file(tmp_path, "dmg", "a", 0, 0.7, 0.6)
    write_file(tmp_path, "aggregate", "a", 0, 0.7, 0.5)
    text = text_of(tmp_path)
    assert (
        "(1 of 6 pairs): out of domain +10.0 points, of a single pair" in text
    )
    assert "| Small | 2 | 18 | " in text


def test_runs_of_other_code_lie_beside(tmp_path):
    """They say no more than docs/evidence/runs/README.md asks of them."""
    write_file(tmp_path, "dmg", "a", 0, 0.7, 0.6)
    left_out = ("protocol", "rules", "timing", "processor", "mask_iou")
    less = dict.fromkeys((*left_out, "commit", "source_domains"))
    write_file(tmp_path, "official dmg", "a", 0, 0.7, 0.625, **less)
    text = text_of(tmp_path)
    assert "| DMG minus DMG, official code | -2.5 |" in text
    assert "| DMG, official code | Pred-Ens | 70.00 | 62.50 | 1 |" in text
    assert "| Small | 1 | 18 | " in text  # it is none of ours


@pytest.mark.parametrize(
    "text,why",
    [
        ("{", "Expecting"),
        ("{}", "it has no variant and no config"),
        (
            '{"variant": "dmg", "config": {}, "in_domain": {}, '
            '"out_of_domain": {}}',
            "its config has no method",
        ),
    ],
)
def test_other_files_are_left_out(tmp_path, capsys, text, why):
    place = tmp_path / "runs" / PROTOCOL.name
    place.mkdir(parents=True)
    (place / "x.json").write_text(text)
    assert read_runs(tmp_path / "runs", PROTOCOL) == []
    told = capsys.readouterr().err
    assert "left out" in told and why in told
