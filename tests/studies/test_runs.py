import json

from dmg_tf.config import RunConfig
from dmg_tf.studies.runs import load_runs
from tests.studies.fake_runs import results_of


def written(folder, **settings):
    """Writes a run folder with results and a config of these settings."""
    config = RunConfig(target="a", data="images", **settings).resolve("folder")
    (folder / "results.json").parent.mkdir(parents=True)
    results = results_of(json.loads(json.dumps(config.to_json())))
    (folder / "results.json").write_text(json.dumps(results))


def test_runs_are_told_apart_by_recipe_and_what_is_not_of_it(tmp_path):
    written(tmp_path / "1", method="aggregate", recipe="paper")
    written(tmp_path / "2", method="aggregate", recipe="strong")
    written(tmp_path / "3", method="aggregate", recipe="strong", warmup=2.0)
    runs, _ = load_runs(tmp_path)
    assert {run.run_dir.name: run.label for run in runs} == {
        "1": "Aggregate (recipe paper)",
        "2": "Aggregate (recipe strong)",
        "3": "Aggregate (recipe strong, warmup 2)",
    }
