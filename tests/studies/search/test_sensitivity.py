"""The sensitivity figure: its axis, and what is drawn of it."""

import pytest

from dmg_tf.config import RunConfig
from dmg_tf.studies.search.folder import Search
from dmg_tf.studies.search.results import Row
from dmg_tf.studies.search.sensitivity import LogAxisWithZero, write_figures


def test_zero_has_a_place_on_the_logarithm():
    axis = LogAxisWithZero({0.0, 1e-5, 1e-4, 1.0})
    at = [axis.x_of(value) for value in (0.0, 1e-5, 1e-4, 1.0)]
    assert at == pytest.approx([-6, -5, -4, 0])


def row(trial, weight, seeds=(0, 1), rate=1e-3, sites=("layer4", "fc")):
    runs = tuple(
        {
            "validation": 0.5 + weight / 10 + seed / 100,
            "in_domain": 0.6 + seed / 100,
            "out_of_domain": 0.4 + seed / 50,
            "in_domain_split": "test",
            "rule": "Pred-Ens",
            "mask_iou": 0.9 - weight / 2 if sites else None,
            "mask_iou_of": {site: 0.9 - weight / 2 for site in sites},
        }
        for seed in seeds
    )
    values = {"siou_weight": weight, "learning_rate": rate}
    return Row(str(trial), values, runs)


@pytest.fixture
def drawn(monkeypatch):
    """Keeps the figures that are drawn."""
    from matplotlib.figure import Figure

    figures = []
    save = Figure.savefig

    def keep(self, path, **options):
        figures.append(self)
        save(self, path, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def make_search(folder, **space):
    config = RunConfig(target="sketch")
    return Search(folder, config, "shapes", space, executions=2)


def test_three_panels_as_in_the_paper(tmp_path, drawn):
    search = make_search(tmp_path, siou_weight=(0.0, 0.1, 1.0))
    rows = [row(i, weight) for i, weight in enumerate((0.0, 0.1, 1.0))]
    (path,) = write_figures(search, rows)
    assert path.name == "sensitivity-siou_weight.png"
    assert path.with_suffix(".svg").exists() and path.stat().st_size > 10_000
    outside, inside, overlap = drawn[-1].axes
    (line,) = [x for x in outside.get_lines() if len(x.get_xdata()) == 3]
    assert list(line.get_ydata()) == pytest.approx([41, 41, 41])
    assert list(line.get_xdata()) == pytest.approx([-2, -1, 0])
    labels = [tick.get_text() for tick in outside.get_xticklabels()]
    assert labels == ["0", "0.1", "1"]
    assert "not used for selection" in outside.get_title()
    legend = [text.get_text() for text in inside.get_legend().get_texts()]
    assert legend == ["test images, Pred-Ens", "validation, which selects"]
    legend = [text.get_text() for text in overlap.get_legend().get_texts()]
    assert legend == ["input of layer4", "input of fc", "mean"]
    for panel in drawn[-1].axes:
        assert panel.get_xlabel() == "$\\lambda_O$" and panel.get_ylabel()


def test_small_differences_look_small(tmp_path, drawn):
    search = make_search(tmp_path, siou_weight=(0.0, 1e-3))
    write_figures(search, [row(0, 0.0), row(1, 1e-3)])
    for panel, span in zip(drawn[-1].axes, (5, 5, 0.1), strict=True):
        low, high = panel.get_ylim()
        assert high - low >= span
        for line in panel.get_lines()[:1]:
            assert all(low < y < high for y in line.get_ydata())


def test_each_number_that_was_searched_has_a_figure(tmp_path, drawn):
    """A point a setting; the line is the mean over the other settings."""
    search = make_search(
        tmp_path, siou_weight=(0.1, 1.0), learning_rate=(1e-3, 1e-2)
    )
    rows = [
        row(0, 0.1, rate=1e-3),
        row(1, 0.1, rate=1e-2),
        row(2, 1.0, rate=1e-3),
        row(3, 1.0, rate=1e-2, seeds=(2, 3)),
    ]
    names = [path.stem for path in write_figures(search, rows)]
    assert names == ["sensitivity-siou_weight", "sensitivity-learning_rate"]
    line = drawn[0].axes[0].get_lines()[-1]
    assert list(line.get_ydata()) == pytest.approx([41, 43])


def test_a_method_without_masks_has_two_panels(tmp_path, drawn):
    search = make_search(tmp_path, learning_rate=(1e-3, 1e-2))
    rows = [row(0, 0.1, sites=()), row(1, 0.1, rate=1e-2, sites=())]
    write_figures(search, rows)
    assert len(drawn[-1].axes) == 2


def test_what_failed_is_left_out(tmp_path):
    search = make_search(tmp_path, siou_weight=(0.0, 1.0))
    failed = Row("1", {"siou_weight": 1.0, "learning_rate": 1e-3}, (), "nan")
    assert write_figures(search, [row(0, 0.0), failed]) == []


def test_a_range_has_ticks_of_decades(tmp_path, drawn):
    search = make_search(tmp_path, siou_weight=(0.0, 1.0))
    weights = [10 ** (-5 + i / 2) for i in range(10)]
    write_figures(search, [row(i, w) for i, w in enumerate(weights)])
    labels = [x.get_text() for x in drawn[-1].axes[0].get_xticklabels()]
    assert labels[0] == "$10^{-5}$" and len(labels) < 8
