"""That the benchmarks run; what they measure is no test's business."""

import json
import subprocess
import sys
import time

import pytest

import benchmarks.models
from benchmarks import (
    evaluation,
    operations,
    scale,
    side_by_side,
    startup,
    train_step,
)
from benchmarks import input as input_benchmark
from benchmarks.side_by_side import Variant, compare, ratio
from dmg_tf.methods.base import DomainModel
from dmg_tf.registry import BACKBONES, METHODS
from tests.conftest import ROOT
from tests.stubs import NORMED

SMALL = {"backbone": "normed", "image_size": 32, "batch_size": 6}


@pytest.fixture(scope="module", autouse=True)
def known(forgotten):
    """Knows the backbone."""
    with BACKBONES.with_name("normed", NORMED):
        yield


# Stands in for an interpreter: a variant that takes no time to start.
QUICK = f"""#!{sys.executable}
import json, os, sys
assert sys.argv[1:] == ["-m", "benchmarks.input", "--worker"]
sys.path.insert(0, os.getcwd())
from benchmarks.side_by_side import serve
serve(lambda options: lambda: json.loads(options)["seconds"])
"""


def test_variants_take_turns_in_processes_of_their_own(
    tiny_folder, tmp_path, capfd
):
    python = tmp_path / "python"
    python.write_text(QUICK)
    python.chmod(0o755)
    read = {
        "paths": sorted(map(str, tiny_folder.rglob("*.png"))),
        **{"image_size": 32, "batch_size": 6, "batches": 2, "cache": "none"},
    }
    found = compare(
        [
            Variant("none", "input", **read),
            Variant("quick", "input", python=str(python), seconds=1e-9),
        ],
        rounds=2,
        warm_up=1,
    )
    assert set(found) == {"none", "quick"} and found["quick"] == [1e-9] * 2
    assert len(found["none"]) == 2 and min(found["none"]) > 0
    assert float(ratio(found, "none", "quick")) > 1
    assert ratio(found, "none", "PyTorch") == "-"
    assert "round 3 of 3" in capfd.readouterr().err


def test_every_method_is_measured():
    found = subprocess.run(
        [
            *(sys.executable, "-c"),
            "from benchmarks.methods import all_names; print(*all_names())",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert found == [*METHODS.names(), "sam", "sagm"]


def test_a_variant_that_fails_says_why():
    variant = Variant("broken", "train_step", method="nothing", **SMALL)
    with pytest.raises(RuntimeError, match="unknown method 'nothing'"):
        variant.ask()
    variant.close()


def test_ratios_are_medians_of_pairs():
    found = {"a": [2.0, 30.0, 4.0], "b": [1.0, 10.0, 4.0]}
    assert ratio(found, "a", "b") == "2.00"


@pytest.fixture
def made(monkeypatch):
    """The models that a benchmark makes, with what they were asked for."""
    models = []

    def spy(name):
        make = getattr(benchmarks.models, name)

        def spied(*args, **sizes):
            model = make(*args, **sizes)
            models.append((args, model))
            return model

        monkeypatch.setattr(benchmarks.models, name, spied)

    spy("ours")
    spy("plain_keras")
    return models


def test_a_plain_step_is_one_of_keras(made):
    step = train_step.worker("plain", **SMALL)
    ((args, model),) = made
    assert args == ("normed", 32)
    assert not isinstance(model, DomainModel)
    batches, take_step = [], model.train_step

    def spied(data):
        batches.append(data[0].shape)
        return take_step(data)

    model.train_step = spied
    model.make_train_function(force=True)
    step()
    assert int(model.optimizer.iterations) == 1
    assert batches and all(shape == (6, 32, 32, 3) for shape in batches)


def test_a_step_of_torch():
    pytest.importorskip("torchvision", reason="PyTorch is not installed")
    assert (
        0
        < train_step.worker("torch", **{**SMALL, "backbone": "resnet18"})()
        < 60
    )


def test_the_step_within_fit(made):
    step = train_step.worker("dmg", **SMALL, fit=True)
    ((args, model),) = made
    assert args == ("dmg", "normed", 32, "float32", None)
    for calls in (1, 2):
        step()
        taken = calls * train_step.STEPS_OF_FIT
        assert int(model.optimizer.iterations) == taken


@pytest.mark.parametrize(
    "rule,asked",
    [
        ("pred_ens", [["pred_ens"]]),
        ("mask by mask", [[f"mask/{d}"] for d in benchmarks.models.DOMAINS]),
        ("plain", [["pred_ens"]]),
    ],
)
def test_prediction(made, rule, asked, monkeypatch):
    rules = []
    for model_class in (DomainModel, METHODS["dmg"].load()):
        by_rule = model_class.logits_by_rule

        def spied(self, images, names, domain_ids=None, by_rule=by_rule):
            rules.append(list(names))
            return by_rule(self, images, names, domain_ids)

        monkeypatch.setattr(model_class, "logits_by_rule", spied)
    measure = evaluation.worker(rule, **SMALL)
    ((args, _),) = made
    assert args[0] == ("aggregate" if rule == "plain" else "dmg")
    assert args[1:] == ("normed", 32)
    del rules[:]  # those of building the model
    measure()
    assert rules == asked  # traced once each


@pytest.mark.parametrize("cache", ["none", "memory", "disk"])
def test_input(cache, tiny_folder, tmp_path):
    paths = sorted(map(str, tiny_folder.rglob("*.png")))
    measure = input_benchmark.worker(cache, paths, 32, 8, 3, str(tmp_path))
    assert 0 < measure() < 1


def test_startup_counts_every_stage(stub_installed, tiny_folder, tmp_path):
    argv = [
        *("--data", str(tiny_folder), "--target", "c", "--weights", "none"),
        *("--backbone", "stub", "--image-size", "32", "--batch-size", "8"),
        *("--output", str(tmp_path / "run")),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.startup", "--worker"],
        input=json.dumps({"begin": time.time(), "argv": argv}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seconds = json.loads(done.stdout.splitlines()[-1])
    assert list(seconds) == [*startup.STAGES, "memory"]
    assert seconds["first step"] > 0 and seconds["memory"] > 1e8
    assert not (tmp_path / "run").exists()  # nothing half-made is left


def test_the_imitation_has_what_domainnet_has(tmp_path):
    from dmg_tf.data.datasets.domainnet import load as load_domainnet

    startup.imitation(tmp_path, 6000)
    data = load_domainnet(str(tmp_path), "sketch")
    assert len(data.class_names) == 345
    counts = data.counts()
    assert counts["train"]["real"] + counts["validation"]["real"] == 700
    assert counts["out_of_domain"] == {"sketch": 300}


def test_torch_is_looked_for(monkeypatch):
    assert side_by_side.torch_python("/other/python") == "/other/python"
    monkeypatch.setattr(
        side_by_side.importlib.util, "find_spec", lambda name: None
    )
    assert side_by_side.torch_python(None) is None


def test_operations_of_a_step():
    found = operations.worker(method="dmg", **SMALL, steps=1)()
    calls, seconds = found["operations"]["ResourceApplyAdam"]
    model = benchmarks.models.ours("dmg", "normed", 32)
    assert calls == len(model.trainable_weights)
    assert 0 < seconds < found["step"]


@pytest.mark.parametrize(
    ("kind", "growing", "value"),
    [
        ("step", "domains", 5),
        ("evaluation", "classes", 9),
        ("repeated", "times", 2),
    ],
)
def test_a_point_of_a_curve(kind, growing, value):
    assert 0 < scale.worker(kind, "normed", 6, value, growing)() < 60


@pytest.mark.parametrize("kind", ["folder", "table", "lists"])
def test_listed_files(kind, tmp_path):
    scale.write_files(kind, tmp_path, 600)
    assert 0 < scale.worker(kind, None, 0, 600, "files", str(tmp_path))() < 60


def test_the_exponent_is_the_last_points_slope():
    assert scale.exponent([1, 10, 100, 1000], [9, 1, 10, 100]) == pytest.approx(
        1
    )
    assert scale.exponent([10, 100, 1000], [3, 3, 3]) == pytest.approx(0)
