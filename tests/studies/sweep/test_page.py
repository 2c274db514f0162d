"""The page of a sweep says what its runs' files say."""

import re

import pytest

from dmg_tf.studies.paper.tables import out_of_domain
from dmg_tf.studies.runs import load_runs
from dmg_tf.studies.sweep.page import sweep_page, write_sweep_page
from tests.report.runs import write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    for target in ("a", "b"):
        for method in ("aggregate", "dmg"):
            for seed in (0, 1):
                sources = tuple(d for d in "abc" if d != target)
                name = f"{target}-{method}-{seed}"
                write_run(
                    folder,
                    sources,
                    target=target,
                    method=method,
                    seed=seed,
                    name=name,
                )
    return folder


def rows_of(page, heading):
    """The texts of each row of the table in the panel with a heading."""
    part = page.partition(f"<h2>{heading}")[2].partition("</section>")[0]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", part.partition("<tbody>")[2])
    return [
        [re.sub("<.*?>", "", c) for c in re.findall(r"<t[dh].*?</t[dh]>", row)]
        for row in rows
    ]


def test_numbers_are_those_of_the_tables(folder):
    runs, _ = load_runs(folder)
    page = sweep_page(runs)
    expected = [
        [row.label, *(row.cells[c].text() for c in ("a", "b", "overall")), "2"]
        for row in out_of_domain(runs).rows
    ]
    assert rows_of(page, "Out-of-domain accuracy") == expected
    for (name, *_, out, lost, count), row in zip(
        rows_of(page, "In and out of domain"), expected, strict=True
    ):
        assert [name, out, count] == [row[0], row[3], row[4]]
        assert re.fullmatch(r"-?\d+\.\d\d", lost)
    assert len(rows_of(page, "All runs")) == 8
    assert "Target a: one run, looked at" in page
    assert page.count("<h2>What is taken for what in") == 2


def test_the_run_that_is_shown_is_chosen_without_the_target(folder):
    runs, _ = load_runs(folder)
    page = sweep_page(runs)
    for target in ("a", "b"):
        best = max(
            (r for r in runs if r.target == target),
            key=lambda r: r.results["selection"]["value"],
        )
        part = page.partition(f"Target {target}: one run")[2][:600]
        assert best.run_dir.name in part


def test_what_is_missing_is_said(folder):
    runs, _ = load_runs(folder)
    page = sweep_page(
        [r for r in runs if (r.target, r.label) != ("b", "DMG")], missing=["x"]
    )
    assert "left out of everything below: x." in page
    dmg = next(
        r for r in rows_of(page, "In and out of domain") if r[0] == "DMG"
    )
    assert dmg[2:5] == ["-", "-", "-"]  # no mean of half of the targets


def test_a_damaged_run_is_named(folder, tmp_path, capsys):
    write_run(tmp_path, ("a", "b"), target="c")
    path = tmp_path / "run" / "history.csv"
    path.write_text("epoch,validation_overall\nx,y\n")
    runs, _ = load_runs(tmp_path)
    assert write_sweep_page(runs, tmp_path).exists()
    assert f"left out of the curves: cannot read {path}" in (
        capsys.readouterr().err
    )
