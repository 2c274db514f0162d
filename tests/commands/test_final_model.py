"""A model that learns from all domains, and what is known of it."""

import json
import shlex

import pytest

from dmg_tf.commands import evaluate, export, report, train
from dmg_tf.flags import config_from_args
from dmg_tf.predict.predictor import load_predictor
from tests.studies.fake_runs import write_run
from tests.studies.sweep.test_leave_one_out import fake, sweep  # noqa: F401

pytestmark = pytest.mark.usefixtures("with_stub")


def flags(data, output, *more):
    return [
        *("--data", str(data), "--target", "none", "--backbone", "stub"),
        *("--weights", "none", "--image-size", "32", "--batch-size", "15"),
        *("--epochs", "2", "--cache", "memory", "--output", str(output), *more),
    ]


@pytest.fixture(scope="module")
def final(tiny_folder, tmp_path_factory, with_stub):
    """The folder of such a run."""
    output = tmp_path_factory.mktemp("runs") / "final"
    assert train.main(flags(tiny_folder, output)) == 0
    return output


def test_all_domains_are_learned_from(final):
    results = json.loads((final / "results.json").read_text())
    assert results["source_domains"] == ["a", "b", "c"]
    assert results["counts"]["train"] == {"a": 33, "b": 33, "c": 33}
    assert results["counts"]["out_of_domain"] == {}
    assert results["out_of_domain"] == {}
    assert {"mask/a", "mask/b", "mask/c"} <= set(results["in_domain"])
    text = (final / "predictions.csv").read_text()
    assert "validation" in text and "out_of_domain" not in text


def test_it_is_read_evaluated_and_exported(final, tmp_path, capsys):
    assert evaluate.main([str(final)]) == 0
    out = capsys.readouterr().out
    assert "no unseen domain was measured" in out
    assert "target" not in out
    assert export.main([str(final), str(tmp_path / "model")]) == 0
    predictor = load_predictor(tmp_path / "model")
    assert predictor.facts.source_domains == ("a", "b", "c")
    assert predictor.facts.out_of_domain == {}


def test_nothing_is_said_of_new_domains_that_was_not_measured(final, capsys):
    assert report.main([str(final)]) == 0
    page = (final / "report.html").read_text()
    assert "How well it does on a new domain was not measured" in page
    assert "What is taken for what in the sources" in page
    assert page.count("What is taken for what in") == page.count(
        "What is taken for what in the sources"
    )


def test_runs_beside_it_that_held_out_a_domain_are_told(
    final, tiny_folder, tmp_path, capsys
):
    config = json.loads((final / "config.json").read_text())
    del config["output"], config["sources"]
    for target, seed in (("a", 0), ("a", 1), ("b", 0), ("c", 0)):
        own = {**config, "target": target, "seed": seed}
        write_run(final.parent, f"{target}{seed}", **own)
    write_run(final.parent, "other", **{**config, "target": "c", "epochs": 9})
    outside = {
        name: json.loads((final.parent / name / "results.json").read_text())[
            "out_of_domain"
        ]["pred_ens"]["overall"]
        for name in ("a0", "a1", "b0", "c0")
    }
    mean = ((outside["a0"] + outside["a1"]) / 2 + outside["b0"]) / 3
    mean += outside["c0"] / 3
    assert report.main([str(final)]) == 0
    page = (final / "report.html").read_text()
    expected = f"about {100 * mean:.1f} %: the mean of 4 runs beside this one"
    assert expected in page
    capsys.readouterr()
    assert train.main(flags(tiny_folder, final, "--resume")) == 0
    assert expected in capsys.readouterr().out


def test_one_domain_is_enough_for_some_methods(tiny_folder, tmp_path, capsys):
    argv = flags(tiny_folder, tmp_path / "run", "--sources", "b")
    assert train.main(argv) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: --method dmg needs 2 source domains, got b")
    assert not (tmp_path / "run").exists()
    able = line.rpartition("there are ")[2].strip().split(", ")
    assert able == ["aggregate", "rsc", "sagnet"]
    for method in able:
        own = ("--method", method, "--sources", "b", "--epochs", "1")
        assert train.main(flags(tiny_folder, tmp_path / method, *own)) == 0
        results = json.loads((tmp_path / method / "results.json").read_text())
        assert results["source_domains"] == ["b"]


def test_what_needs_a_target_says_so(tiny_folder, tmp_path, capsys):
    argv = flags(tiny_folder, tmp_path / "run", "--track-target")
    assert train.main(argv) == 2
    assert "--target none holds out none" in capsys.readouterr().err


def test_a_sweep_ends_with_the_command_of_its_final_model(sweep, capsys):  # noqa: F811
    flags = ["--methods", "aggregate", "dmg:siou-weight=0.5", "--seeds", "3"]
    assert sweep(*flags, "--image-size", "64") == 0
    out = capsys.readouterr().out
    rows = {
        method: [
            json.loads(path.read_text())["out_of_domain"]["pred_ens"]["overall"]
            for path in sweep.folder.glob(f"*-{method}-*/results.json")
        ]
        for method in ("aggregate", "dmg-siou-weight=0.5")
    }
    best = max(rows, key=lambda method: sum(rows[method])).partition("-")[0]
    line = out.strip().splitlines()[-1]
    words = shlex.split(line[line.index(" train ") :])[1:]
    args = train.make_parser(words).parse_args(words)
    config = config_from_args(args)
    assert (config.target, config.method, config.seed) == ("none", best, 3)
    assert config.image_size == 64 and config.output is not None
    if best == "dmg":
        assert config.options.siou_weight == 0.5
    # A run of it is no row of the sweep's tables.
    write_run(sweep.folder, "final", **config.to_json())
    assert sweep(*flags, "--image-size", "64") == 0
    assert capsys.readouterr().out == out


def test_a_sweep_names_no_final_model_of_runs_that_failed(
    sweep,  # noqa: F811
    capsys,
    monkeypatch,
):
    monkeypatch.setenv("FAKE_FAIL", "folder-b")
    assert sweep("--methods", "dmg") == 1
    assert "final model" not in capsys.readouterr().out
