import csv
import io
import json

import numpy as np
import pytest

from dmg_tf.errors import UserError
from dmg_tf.rules import PredictionRule, domain_rules
from dmg_tf.studies.paper.published import PUBLISHED_DOMAINS
from dmg_tf.studies.paper.tables import all_tables, write_tables
from dmg_tf.studies.runs import load_runs
from dmg_tf.studies.table import as_latex
from tests.studies.fake_runs import write_run


@pytest.fixture
def folder(tmp_path):
    """Two methods, two targets, three seeds; one run is missing."""
    for target in "ab":
        for seed in range(3):
            for method in ("dmg", "aggregate"):
                if (target, seed, method) != ("b", 2, "dmg"):
                    name = f"{target}{seed}{method}"
                    settings = {"target": target, "seed": seed}
                    write_run(tmp_path, name, method=method, **settings)
    return tmp_path


def tables_of(folder, **kwargs):
    runs, _ = load_runs(folder)
    return {t.name: t for t in all_tables(runs, **kwargs)}, runs


def row_of(table, label, group=None):
    rows = [
        r
        for r in table.rows
        if r.label == label and not r.published and group in (None, r.group)
    ]
    assert len(rows) == 1, [r.label for r in table.rows]
    return rows[0]


def values(runs, method, target, split, rule, domain="overall"):
    return [
        run.results[split][rule][domain]
        for run in runs
        if run.config["method"] == method and run.target == target
    ]


def test_mean_and_standard_error(folder):
    tables, runs = tables_of(folder)
    cell = row_of(tables["out_of_domain"], "DMG").cells["a"]
    expected = values(runs, "dmg", "a", "out_of_domain", "pred_ens")
    assert cell.mean == pytest.approx(np.mean(expected))
    error = np.std(expected, ddof=1) / np.sqrt(3)
    assert cell.standard_error == pytest.approx(error)
    assert cell.count == 3
    assert row_of(tables["out_of_domain"], "DMG").count() == "2-3"


def test_overall_is_of_seeds_that_have_all_targets(folder):
    tables, runs = tables_of(folder)
    both = [
        values(runs, "dmg", target, "out_of_domain", "pred_ens")[:2]
        for target in "ab"
    ]
    cell = row_of(tables["out_of_domain"], "DMG").cells["overall"]
    assert cell.count == 2
    assert cell.mean == pytest.approx(np.mean(both))


def test_in_domain_has_a_row_for_known_domains(folder):
    table = tables_of(folder)[0]["in_domain"]
    assert [r.label for r in table.rows] == ["Aggregate", "DMG", "DMG-KD"]
    runs = load_runs(folder)[0]
    known = values(runs, "dmg", "a", "in_domain", "known_domain")
    found = row_of(table, "DMG-KD").cells["a"].mean
    assert found == pytest.approx(np.mean(known))
    assert "validation" in table.title


def test_chosen_masks(folder):
    table = tables_of(folder)[0]["chosen_mask_a"]
    assert table.columns == ("b", "c", "target a")
    labels = [row.label for row in table.rows]
    assert labels == ["mask of b", "mask of c", "combined"]
    runs = load_runs(folder)[0]
    expected = values(runs, "dmg", "a", "in_domain", "mask/c", "b")
    found = row_of(table, "mask of c").cells["b"].mean
    assert found == pytest.approx(np.mean(expected))


def test_ensembling(folder):
    table = tables_of(folder)[0]["ensembling"]
    runs = load_runs(folder)[0]
    expected = values(runs, "dmg", "b", "out_of_domain", "mask_ens")
    row = row_of(table, "DMG (Mask-Ens)", "resnet18, out-of-domain")
    assert row.cells["b"].mean == pytest.approx(np.mean(expected))
    assert len(table.rows) == 5  # images of a target have no known domain


def test_methods_without_masks_have_two_tables(tmp_path):
    write_run(tmp_path, "one", target="a", method="aggregate")
    assert list(tables_of(tmp_path)[0]) == ["out_of_domain", "in_domain"]


def test_labels_say_in_what_runs_differ(tmp_path):
    for weight in (1.0, 0.0, 0.01):
        write_run(tmp_path, str(weight), target="a", siou_weight=weight)
    write_run(tmp_path, "sgd", target="a", method="aggregate", optimizer="sgd")
    table = tables_of(tmp_path)[0]["out_of_domain"]
    assert [row.label for row in table.rows] == [
        "Aggregate-SGD",
        "DMG (siou_weight 0)",
        "DMG (siou_weight 0.01)",
        "DMG (siou_weight 1)",
    ]


def test_files(folder):
    runs, _ = load_runs(folder)
    text, files = write_tables(runs, folder)
    assert [f.name for f in files] == [
        f"tables.{suffix}" for suffix in ("txt", "csv", "md", "tex")
    ]
    rows = list(csv.DictReader(io.StringIO(files[1].read_text())))
    one = next(
        row
        for row in rows
        if (row["table"], row["row"], row["column"])
        == ("out_of_domain", "DMG", "a")
    )
    cell = row_of(tables_of(folder)[0]["out_of_domain"], "DMG").cells["a"]
    assert float(one["mean"]) == cell.mean and one["n"] == "3"
    assert one["source"] == "measured"
    shown = f"{100 * cell.mean:.2f} ± {100 * cell.standard_error:.2f}"
    assert shown in text and shown in files[2].read_text()
    assert shown.replace("±", "$\\pm$") in files[3].read_text()
    assert "the target had no part in it" in text


def test_latex_escapes_names(tmp_path):
    domains = ("50%_{x}", "b&c", "d")
    for target in domains:
        write_run(tmp_path, target, domains, target=target, method="aggregate")
    text = as_latex(list(tables_of(tmp_path)[0].values()))
    assert "50\\%\\_\\{x\\} & b\\&c & d" in text
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 2


def test_rules_are_those_that_a_method_has(tmp_path):
    """By their properties: other names and titles make other rows."""
    write_run(tmp_path, "one", target="a", method="dmg")
    path = tmp_path / "one" / "results.json"
    text = path.read_text()
    for old, new in (("pred", "fused"), ("mask", "equal")):
        text = text.replace(f'"{old}_ens"', f'"{new}"')
    text = text.replace('"known_domain"', '"told"').replace("mask/", "part/")
    results = json.loads(text)
    rules = [
        PredictionRule("fused", "Fused"),
        PredictionRule("equal", "Equal weights"),
        PredictionRule("told", "told", needs_domain=True),
        *domain_rules("part", "bc"),
        PredictionRule("hidden", "h", needs_domain=True, shown=False),
    ]
    results["rules"] = [rule.to_json() for rule in rules]
    path.write_text(json.dumps(results))
    tables, _ = tables_of(tmp_path)
    for name, labels in (
        ("out_of_domain", ["DMG"]),
        ("in_domain", ["DMG", "DMG-KD"]),
        ("chosen_mask_a", ["part of b", "part of c", "combined"]),
    ):
        assert [row.label for row in tables[name].rows] == labels
    inside = [r for r in tables["ensembling"].rows if "in-domain" in r.group]
    assert [row.label for row in inside] == [
        "DMG (Fused)",
        "DMG (Equal weights)",
        "DMG-KD",
    ]
    cell = row_of(tables["in_domain"], "DMG-KD").cells["a"]
    assert cell.mean == results["in_domain"]["told"]["overall"]


def test_a_method_that_is_not_installed(tmp_path):
    """Its runs come last, under its own name."""
    write_run(tmp_path, "one", target="a", method="dmg")
    write_run(tmp_path, "two", target="a", method="aggregate")
    path = tmp_path / "two" / "results.json"
    results = json.loads(path.read_text())
    results["config"].update(method="elsewhere", strength=3.0)
    path.write_text(json.dumps(results))
    rows = tables_of(tmp_path)[0]["out_of_domain"].rows
    assert [row.label for row in rows] == ["DMG", "elsewhere"]


def test_runs_of_version_0_1(folder):
    """Their settings had the options of all methods."""
    before = tables_of(folder)[0]
    for path in folder.glob("?0*/results.json"):
        results = json.loads(path.read_text())
        options = {"siou_weight": 0.1, "mask_sites": None, "meta_steps": 5}
        results["config"] = {**options, **results["config"]}
        path.write_text(json.dumps(results))
    assert tables_of(folder)[0] == before


def test_an_unknown_setting_names_the_file(folder):
    path = folder / "a0dmg" / "results.json"
    results = json.loads(path.read_text())
    results["config"]["siou_wait"] = 1
    path.write_text(json.dumps(results))
    with pytest.raises(UserError, match="a0dmg/results.json: unknown setting"):
        load_runs(folder)


# === Published numbers ===


@pytest.mark.parametrize("dataset", PUBLISHED_DOMAINS)
def test_published_rows_are_marked(tmp_path, dataset):
    domains = PUBLISHED_DOMAINS[dataset]
    settings = {"backbone": "alexnet", "dataset": dataset}
    write_run(tmp_path, "x", domains, target="sketch", **settings)
    tables, runs = tables_of(tmp_path, with_paper=True)
    table = tables["out_of_domain"]
    assert table.columns == (*domains, "overall")
    rows = [row for row in table.rows if row.published]
    dmg = next(row for row in rows if row.label == "DMG")
    expected = {"pacs": 0.7142, "domainnet": 0.3013}[dataset]
    assert dmg.cells["sketch"].mean == pytest.approx(expected)
    assert {row.group for row in table.rows} == {"alexnet"}
    text, files = write_tables(runs, tmp_path, with_paper=True)
    assert "DMG [published]" in text
    assert ",published\n" in files[1].read_text()
    assert "[published]" not in write_tables(runs, tmp_path)[0]


def test_the_paper_has_nothing_on_other_data(folder):
    runs, _ = load_runs(folder)
    text, _ = write_tables(runs, folder, with_paper=True)
    assert "no numbers on folder" in text and "[published]" not in text


# === Folders ===


def test_unfinished_runs_are_named(folder):
    (folder / "b1dmg" / "results.json").unlink()
    runs, unfinished = load_runs(folder)
    assert len(runs) == 10 and unfinished == ["b1dmg"]


def test_folders_without_runs(tmp_path):
    with pytest.raises(UserError, match="holds no finished run"):
        load_runs(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        load_runs(tmp_path / "nowhere")


def test_damaged_results(folder, capsys):
    """A damaged run is left out with a line."""
    path = folder / "a0dmg" / "results.json"
    before = len(load_runs(folder)[0])
    names = {"class_names": ["x", "y"], "source_domains": ["b"]}
    for text, reason in (
        ("{", "Expecting property name"),
        (json.dumps({"config": {"target": "a"}}), "'class_names' is missing"),
        (json.dumps({"config": {"target": "a"}, **names}), "no 'in_domain'"),
    ):
        path.write_text(text)
        assert len(load_runs(folder)[0]) == before - 1
        said = capsys.readouterr().err
        assert f"left out a0dmg: {path} is damaged: {reason}" in said


def test_a_run_twice(folder):
    write_run(folder, "again", target="a", seed=0)
    with pytest.raises(UserError, match="hold the same run"):
        load_runs(folder)


def test_datasets_do_not_mix(folder):
    write_run(folder, "other", target="a", dataset="shapes")
    with pytest.raises(UserError, match="several datasets"):
        load_runs(folder)


def test_an_oracle_only_on_request_and_marked(folder):
    assert "oracle" not in tables_of(folder)[0]
    before = tables_of(folder)[0]["out_of_domain"]
    for path in folder.glob("?0*"):
        results = json.loads((path / "results.json").read_text())
        target = results["config"]["target"]
        results["config"]["track_target"] = True
        value = {"a": 0.5, "b": 0.75}[target]
        results["oracle"] = {"epoch": 1, "pred_ens": {"overall": value}}
        (path / "results.json").write_text(json.dumps(results))
    tables, _ = tables_of(folder)
    assert tables["out_of_domain"] == before
    assert tables["oracle"].title.startswith("ORACLE, not a result")
    row = row_of(tables["oracle"], "DMG [oracle]")
    assert [row.cells[c].mean for c in ("a", "b", "overall")] == [
        0.5,
        0.75,
        0.625,
    ]
    assert row.count() == "1"
