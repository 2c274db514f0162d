"""The command that makes tables and figures, and what they are drawn from."""

import dataclasses
import json
import re

import numpy as np
import PIL.Image
import pytest

from dmg_tf.commands import paper
from dmg_tf.registry import METHODS
from dmg_tf.settings import setting
from dmg_tf.studies.figures import write_figure
from dmg_tf.studies.paper import figures as paper_figures
from dmg_tf.studies.paper.neurons import kinds_of_neurons
from dmg_tf.studies.paper.overlap import (
    ACTIVE,
    IN,
    IOU,
    MEAN,
    OUT,
    layers,
    overlap,
    sensitivity,
)
from dmg_tf.studies.runs import load_runs
from tests.export.helpers import make
from tests.studies.fake_runs import write_run

WEIGHTS = (0.0, 0.001, 1.0)


@pytest.fixture
def folder(tmp_path):
    """Runs of two targets with three weights of the overlap penalty."""
    for target in "ab":
        for weight in WEIGHTS:
            for seed in range(2):
                settings = {"siou_weight": weight, "seed": seed}
                name = f"{target}{weight}{seed}"
                write_run(tmp_path, name, target=target, **settings)
        write_run(tmp_path, f"{target}x", target=target, method="aggregate")
    return tmp_path


def cells(table, group, column):
    rows = [row for row in table.rows if row.group == group]
    return {row.label: row.cells[column] for row in rows}


def test_sensitivity(folder):
    runs, _ = load_runs(folder)
    (table,) = sensitivity(runs)
    assert table.columns == ("a", "b") and table.heading == "λ_O"
    found = cells(table, OUT, "b")
    assert list(found) == ["0", "0.001", "1"]
    expected = [
        json.loads((folder / f"b0.001{seed}" / "results.json").read_text())
        for seed in range(2)
    ]
    values = [r["out_of_domain"]["pred_ens"]["overall"] for r in expected]
    assert found["0.001"].mean == pytest.approx(np.mean(values))
    assert found["0.001"].count == 2
    iou = [s["mean"] for s in expected[0]["mask_iou"].values()]
    found = cells(table, IOU, "b")["0.001"]
    assert found.mean == pytest.approx(np.mean(iou))


def test_weights_are_compared_where_all_else_is_equal(tmp_path):
    write_run(tmp_path, "1", target="a", siou_weight=0.0)
    write_run(tmp_path, "2", target="a", siou_weight=1.0, epochs=3)
    write_run(tmp_path, "3", target="a", siou_weight=0.0, sparsity_weight=0.1)
    tables = sensitivity(load_runs(tmp_path)[0])
    assert [table.heading for table in tables] == ["λ_S"]
    assert list(cells(tables[0], OUT, "a")) == ["0", "0.1"]


def test_a_weight_of_a_method_without_masks(tmp_path, monkeypatch):
    """Two accuracies over it, and no IoU."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Options:
        strength: float = setting("how strong", 1.0, symbol="β")

    spec = dataclasses.replace(METHODS["aggregate"], options=Options)
    monkeypatch.setattr("dmg_tf.methods.aggregate.spec.SPEC", spec)
    for value in (0.5, 1.0):
        settings = {"method": "aggregate", "strength": value}
        write_run(tmp_path, f"{value}", target="a", **settings)
    runs, _ = load_runs(tmp_path)
    (table,) = sensitivity(runs)
    assert table.heading == "β" and table.name == "sensitivity_strength_1"
    assert {row.group for row in table.rows} == {OUT, IN}
    assert list(cells(table, OUT, "a")) == ["0.5", "1"]
    assert layers(runs) == []


def test_layers(folder):
    (table,) = layers(load_runs(folder)[0])
    results = json.loads((folder / "a1.00" / "results.json").read_text())
    for site in ("layer4", "fc"):
        found = cells(table, site, "a")["1"].mean
        assert found == pytest.approx(results["mask_iou"][site]["mean"])


def test_overlap_of_pairs(folder):
    tables = overlap(load_runs(folder)[0])
    assert len(tables) == len(WEIGHTS)
    assert "siou_weight 0.001" in tables[1].title
    found = cells(tables[1], "target a", "%")
    assert list(found) == ["b & c", MEAN, ACTIVE]
    results = json.loads((folder / "a0.0010" / "results.json").read_text())
    iou = [site["b|c"] for site in results["mask_iou"].values()]
    assert found["b & c"].mean == pytest.approx(np.mean(iou))
    active = [list(site.values()) for site in results["mask_density"].values()]
    assert found[ACTIVE].mean == pytest.approx(np.mean(active))


def test_kinds_of_neurons():
    masks = np.array([[0, 1, 1, 0, 1], [0, 1, 0, 0, 1], [0, 1, 0, 1, 1]])
    assert kinds_of_neurons(masks) == pytest.approx(
        {"off everywhere": 0.2, "shared": 0.4, "domain-specific": 0.4}
    )


# === The command ===


@pytest.fixture
def with_models(folder, with_stub):
    """The folder, with a model in each run that has masks."""
    for path in folder.iterdir():
        results = json.loads((path / "results.json").read_text())
        if results["mask_iou"]:
            domains = results["source_domains"]
            model = make("dmg", "stub", domains=domains)
            mask = model.domain_masks["fc"].mask_logits
            mask.assign([[9.0] * 4 + [-9.0] * 4, [9.0] * 2 + [-9.0] * 6])
            model.save(path / "model.keras")
    return folder


def test_command(with_models, tmp_path, capsys):
    out = tmp_path / "näher $x$"
    argv = [str(with_models), "--output", str(out), "--with-paper"]
    assert paper.main(argv) == 0
    stems = ["layers_siou_weight_1", "neurons", "sensitivity_siou_weight_1"]
    stems += [f"overlap_{number}" for number in (1, 2, 3)]
    assert {path.name for path in out.iterdir()} == {
        *(f"{stem}{suffix}" for stem in stems for suffix in (".png", ".pdf")),
        *(f"tables.{suffix}" for suffix in ("txt", "csv", "md", "tex")),
    }
    for path in out.glob("*.png"):
        pixels = np.asarray(PIL.Image.open(path).convert("L"))
        assert pixels.shape[1] <= 2000 and (pixels < 128).mean() > 0.005
    printed = capsys.readouterr().out
    assert "Sensitivity to λ_O, DMG on resnet18" in printed
    *_, kinds = printed.partition("Kinds of neurons")
    # Columns that don't fit beside each other are below each other.
    lines = [li for li in kinds.splitlines() if " fc " in li and "±" in li]
    assert len(lines) == 3 * 6  # runs
    found = [re.findall(r"(\S+) ± 0.00", line) for line in lines[::6]]
    # Of 8 units 2 are on under both masks, 2 under one, 4 under none.
    assert found == [["50.00"], ["25.00"], ["25.00"]]
    assert "No figure of sensitivity" not in printed


def test_runs_without_masks_and_weights(tmp_path, capsys):
    domains = ("a$b$", "c_1", "d")
    for target in domains:
        write_run(
            tmp_path, target[0], domains, target=target, method="aggregate"
        )
    (tmp_path / "d" / "results.json").unlink()
    assert paper.main([str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "left out, not finished: d" in printed.err
    assert "No figure of sensitivity" in printed.out
    assert len(list((tmp_path / "paper").iterdir())) == 4


def test_names_are_drawn_as_they_are(tmp_path):
    domains = ("a$b_{$", "c^%", "d")
    for weight in WEIGHTS:
        name = f"{weight}"
        write_run(
            tmp_path, name, domains, target=domains[0], siou_weight=weight
        )
    runs, _ = load_runs(tmp_path)
    for draw, table in (
        (paper_figures.lines_figure, sensitivity(runs)[0]),
        (paper_figures.overlap_figure, overlap(runs)[0]),
    ):
        write_figure(draw(table), tmp_path, table.name)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["."], "holds no finished run"),
    ],
)
def test_mistakes(argv, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert paper.main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error
    assert error.count("\n") == 1 and not list(tmp_path.iterdir())


def test_missing_model_is_named(folder, capsys):
    assert paper.main([str(folder)]) == 2
    assert "has no model.keras" in capsys.readouterr().err
    assert not list((folder / "paper").iterdir())
