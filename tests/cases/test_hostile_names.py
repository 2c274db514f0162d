"""Names that are keys and paths of our own, from training to every output."""

import csv
import json

import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.commands import evaluate, export, predict, report, train
from dmg_tf.commands.leave_one_out import make_parser
from dmg_tf.files import name_part
from dmg_tf.runs.predictions import read_predictions
from dmg_tf.studies.sweep.plan import plan_runs
from dmg_tf.studies.sweep.runner import command_of
from tests.cases import hostile_names
from tests.cases.hostile_names import CLASSES, DOMAINS
from tests.conftest import write_images

TARGET = "-target"
SOURCES = tuple(sorted(set(DOMAINS) - {TARGET}))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return hostile_names.build(tmp_path_factory.mktemp("hostile") / "data")


@pytest.fixture(scope="module")
def run(root, with_stub, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    argv = ["--data", str(root), f"--target={TARGET}", "--output", str(path)]
    argv += "--backbone stub --weights none --image-size 32".split()
    argv += "--batch-size 16 --epochs 1 --track-target --cache memory".split()
    assert train.main(argv) == 0
    return path


def test_results_have_every_name(run):
    results = json.loads((run / "results.json").read_text())
    assert tuple(results["class_names"]) == tuple(sorted(CLASSES))
    assert tuple(results["source_domains"]) == SOURCES
    for row in results["in_domain"].values():
        assert set(row) == {*SOURCES, "overall"}
        mean = np.mean([row[name] for name in SOURCES])
        assert row["overall"] == pytest.approx(mean)
    pairs = len(SOURCES) * (len(SOURCES) - 1) // 2
    assert {f"mask/{name}" for name in SOURCES} < set(results["in_domain"])
    for site in results["mask_iou"].values():
        assert len(site) == pairs + 1
    for site in results["mask_density"].values():
        assert tuple(site) == SOURCES
    header = next(csv.reader(open(run / "history.csv", encoding="utf-8")))
    assert {f"validation_{name}" for name in SOURCES} < set(header)
    assert len(set(header)) == len(header)
    for split in ("validation", "out_of_domain"):
        found = read_predictions(
            run / "predictions.csv", results["class_names"], split
        )
        names = SOURCES if split == "validation" else (TARGET,)
        assert set(found.domains) == set(names)


def test_evaluation_and_report(run, capsys):
    results = json.loads((run / "results.json").read_text())
    assert evaluate.main([str(run), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["in_domain"] == results["in_domain"]
    assert evaluate.main([str(run), "--prediction-rule", "mask/__proto__"]) == 0
    assert "__proto__" in capsys.readouterr().out
    assert report.main([str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "50% &lt;b&gt;&amp;" in page and "50% <b>" not in page


@pytest.mark.slow
def test_an_export_predicts_as_the_run(run, root, tmp_path, capsys):
    out = tmp_path / "saved_model"
    assert export.main([str(run), str(out)]) == 0
    images = str(root / "mean")
    tables = []
    for model in (run, out):
        path = tmp_path / "out.csv"
        assert predict.main([str(model), images, "--csv", str(path)]) == 0
        with open(path, encoding="utf-8", newline="") as file:
            tables.append(list(csv.reader(file)))
    header, *rows = tables[0]
    assert tables[1][0] == header and len(rows) == 3 * len(CLASSES)
    assert [row[1] for row in rows] == [row[1] for row in tables[1][1:]]
    assert {f"mask/{name}/class" for name in SOURCES} < set(header)
    loaded = tf.saved_model.load(str(out))
    batch = np.zeros((len(SOURCES), 32, 32, 3), np.uint8)
    by_name = loaded.known_domain_by_name(batch, tf.constant(SOURCES))
    by_id = loaded.known_domain(batch, np.arange(len(SOURCES), dtype=np.int32))
    np.testing.assert_array_equal(by_name["logits"], by_id["logits"])


def test_a_sweep_names_a_folder_for_each(with_stub, tmp_path):
    domains = (*DOMAINS, hostile_names.LONG, hostile_names.LONG + "m")
    root = write_images(tmp_path / "data", domains, CLASSES, 1, size=8)
    tmp_path = tmp_path / "runs"
    argv = ["--data", str(root), "--output", str(tmp_path), "--backbones"]
    argv += ["stub", "--methods", "dmg", "aggregate:learning-rate=0.1"]
    runs = plan_runs(make_parser(["dmg", "aggregate"]).parse_args(argv))
    assert len({run.name for run in runs}) == 2 * len(domains)
    for planned in runs:
        (tmp_path / planned.name).mkdir(parents=True)  # a name that can be
        again = train.make_parser(command_of(planned)[4:]).parse_args(
            command_of(planned)[4:]
        )
        assert again.target == planned.config.target


def test_long_parts_of_names_stay_apart():
    long = [letter * 200 for letter in "ab"] + ["\u00fc" * 150]
    short = [name_part(text) for text in long]
    assert len(set(short)) == 3
    assert all(len(text.encode()) <= 100 for text in short)
    assert name_part("Real World") == "Real World"
