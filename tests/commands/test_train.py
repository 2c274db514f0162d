"""The command line: one run from end to end, and every mistake a user makes."""

import json
import pathlib
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from dmg_tf import experiment as run_module
from dmg_tf.commands import evaluate, train
from tests.commands.programs import RUN_FILES, answer_of
from tests.conftest import ROOT
from tests.forked import Forked

pytestmark = pytest.mark.usefixtures("with_stub")
STUB = ["--backbone", "stub"]
# Where masks have no part in it: they take half the time.
AGGREGATE = [*STUB, "--method", "aggregate"]
SMALL = ["--weights", "none", "--image-size", "32", "--batch-size", "16"]
# Graphs that decode images are most of a short run's time.
SMALL += ["--cache", "memory"]


def small(data, output, *extra, target="c"):
    where = ["--data", str(data), "--target", target, "--output", str(output)]
    return [*where, *SMALL, "--epochs", "2", *extra]


@pytest.fixture(scope="module")
def finished(with_stub, tiny_folder, tmp_path_factory):
    """The folder of a finished run of `dmg`."""
    output = tmp_path_factory.mktemp("runs") / "run"
    assert train.main(small(tiny_folder, output, *STUB)) == 0
    return output


@pytest.fixture
def own_folder(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder, tmp_path / "data")
    return tmp_path / "data"


def error_of(capsys, argv, main=train.main):
    """Runs the program; returns its one line of error."""
    capsys.readouterr()
    assert main(argv) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1 and lines[-1] == errors[0]
    assert "Traceback" not in printed.err
    return errors[0]


# === What a run leaves ===


def test_run_folder(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == RUN_FILES
    config = json.loads((finished / "config.json").read_text())
    assert config["dataset"] == "folder" and config["epochs"] == 2
    environment = json.loads((finished / "environment.json").read_text())
    assert environment["packages"]["tensorflow"] == tf.__version__
    assert environment["weights"] == {"file": None, "sha256": None}
    header, *rows = (finished / "history.csv").read_text().splitlines()
    assert header.startswith("epoch,learning_rate,") and len(rows) == 2
    assert "validation_a,validation_b,validation_overall" in header


def test_results(finished):
    results = json.loads((finished / "results.json").read_text())
    assert results["counts"] == {
        "train": {"a": 33, "b": 33},
        "validation": {"a": 3, "b": 3},
        "out_of_domain": {"c": 36},
    }
    rules = ["pred_ens", "mask_ens", "known_domain", "mask/a", "mask/b"]
    assert list(results["in_domain"]) == rules
    assert list(results["out_of_domain"]) == [
        rule for rule in rules if rule != "known_domain"
    ]
    for row in results["in_domain"].values():
        assert set(row) == {"a", "b", "overall"}
        assert row["overall"] == pytest.approx((row["a"] + row["b"]) / 2)
    for row in results["out_of_domain"].values():
        assert set(row) == {"c", "overall"} and 0 <= row["c"] <= 1
        assert row["c"] * 36 == pytest.approx(round(row["c"] * 36))
    assert results["in_domain_split"] == "validation"
    assert results["selection"]["rule"] == "known_domain_binary"
    assert set(results["mask_iou"]) == {"body", "fc"}
    assert set(results["mask_iou"]["fc"]) == {"a|b", "mean"}
    assert results["timing"]["train_images_per_second"] > 0


def test_maps_are_of_pictures_that_the_report_shows(finished):
    from dmg_tf.runs.maps import read_maps

    found = read_maps(finished)
    assert found.rules == ("mask/a", "mask/b")
    assert 2 <= len(found.of) <= 8
    for path, maps in found.of.items():
        assert pathlib.Path(path).exists()
        assert maps.shape == (2, 8, 8) and maps.max() in (0, 1)
    page = (finished / "report.html").read_text("utf-8")
    assert page.count('alt="mask of b, looking for ') == len(found.of)


def test_predictions_are_what_was_scored(finished):
    from dmg_tf.runs.predictions import read_predictions

    results = json.loads((finished / "results.json").read_text())
    path = finished / "predictions.csv"
    for split, part in (
        ("validation", "in_domain"),
        ("out_of_domain", "out_of_domain"),
    ):
        found = read_predictions(path, results["class_names"], split)
        table = found.predictions.accuracy(found.domains)
        assert table == results[part] and list(table) == list(results[part])
        for path_, label in zip(
            found.paths, found.predictions.labels, strict=True
        ):
            name = pathlib.Path(path_).parent.name
            assert name == results["class_names"][label]
        for values in found.predictions.probabilities.values():
            assert np.all((values >= 1 / 3 - 1e-5) & (values <= 1))


def test_report_is_written_again_with_scores(finished, tmp_path, capsys):
    from dmg_tf.commands import report

    output = tmp_path / "run"
    shutil.copytree(finished, output)
    before = (output / "report.html").read_text("utf-8")
    (output / "report.html").unlink()
    (output / "predictions.csv").unlink()
    assert report.main([str(output), "--score"]) == 0
    assert "report.html: " in capsys.readouterr().out
    # But for its commands, which say where the run is.
    again = (output / "report.html").read_text("utf-8")
    assert again.replace(str(output), str(finished)) == before
    for name in ("predictions.csv", "metrics.csv", "results.json"):
        assert (output / name).read_bytes() == (finished / name).read_bytes()


def test_selected_epoch_is_the_best_of_the_history(finished):
    from dmg_tf.runs.history import read_history

    results = json.loads((finished / "results.json").read_text())
    history = read_history(finished / "history.csv")
    values = [row["validation_overall"] for row in history]
    assert results["selection"]["value"] == max(values)
    assert results["selection"]["epoch"] == 1 + int(np.argmax(values))


def logged(folder, part=""):
    """What TensorBoard reads of a part of a run."""
    from tensorboard.backend.event_processing.event_accumulator import (
        EventAccumulator,
    )

    return EventAccumulator(str(folder / "logs" / part)).Reload()


def test_tensorboard_reads_the_logs(finished):
    events = logged(finished, "train")
    tags = set(events.Tags()["tensors"])
    expected = {"accuracy/overall", "learning/loss", "mask_iou/fc"}
    expected |= {"mask_iou_of_pairs/fc/a & b", "mask_density/body/b"}
    assert expected <= tags
    for tag in expected:
        assert [e.step for e in events.Tensors(tag)] == [1, 2]
    results = json.loads((finished / "results.json").read_text())
    if results["selection"]["epoch"] == 2:
        (last,) = events.Tensors("mask_density/body/b")[1:]
        value = tf.make_ndarray(last.tensor_proto)
        assert value == pytest.approx(results["mask_density"]["body"]["b"])
    # Tags come in the order of the alphabet: numbers, then pictures.
    numbers = [tag for tag in tags if not tag.startswith("training_images/")]
    assert max(numbers) < "training_images/"


def test_tensorboard_lays_training_and_validation_over_each_other(finished):
    from dmg_tf.runs.history import read_history

    history = read_history(finished / "history.csv")
    for part, column in (
        ("train", "accuracy"),
        ("validation", "validation_overall"),
    ):
        found = logged(finished, part).Tensors("accuracy/overall")
        values = [float(tf.make_ndarray(e.tensor_proto)) for e in found]
        assert values == pytest.approx([row[column] for row in history])


def test_tensorboard_compares_runs_by_their_settings(finished):
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    found = logged(finished).SummaryMetadata("_hparams_/session_start_info")
    contents = plugin_data_pb2.HParamsPluginData.FromString(
        found.plugin_data.content
    )
    assert found.plugin_data.plugin_name == metadata.PLUGIN_NAME
    values = contents.session_start_info.hparams
    assert values["method"].string_value == "dmg"
    assert values["epochs"].number_value == 2
    assert values["siou_weight"].number_value == 0.1
    assert not values["jit"].bool_value and "mask_sites" not in values


def test_tensorboard_shows_training_images(finished):
    events = logged(finished, "train")
    beginning = "training_images/"
    tags = [t for t in events.Tags()["tensors"] if t.startswith(beginning)]
    assert sorted(tags) == [f"{beginning}{d}/{c}" for d in "ab" for c in "xyz"]
    for tag in tags:
        (event,) = events.Tensors(tag)  # once
        assert event.step == 1
        width, height, contents = tf.make_ndarray(event.tensor_proto)
        assert (int(width), int(height)) == (32, 32)
        image = tf.io.decode_png(contents).numpy()
        assert 40 < image.mean() < 200 and image.std() > 20


def test_evaluate_agrees_with_the_run(finished, capsys):
    assert evaluate.main([str(finished), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    results = json.loads((finished / "results.json").read_text())
    for part in ("in_domain", "out_of_domain", "mask_iou", "mask_density"):
        assert printed[part] == results[part]


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate.py", "RUN", "--json"],
        ["-m", "dmg_tf.export", "RUN", "OUT", "--fold"],
    ],
)
def test_commands_load_the_model_in_a_process_of_their_own(
    finished, stub_installed, tmp_path, command
):
    places = {"RUN": str(finished), "OUT": str(tmp_path / "out")}
    done = subprocess.run(
        [sys.executable, *(places.get(word, word) for word in command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "0000 00:00" not in done.stderr  # no chatter of TensorFlow's


def test_evaluate_prints_the_table(finished, capsys):
    rules = ["--prediction-rule", "mask_ens", "mask/a"]
    assert evaluate.main([str(finished), *rules]) == 0
    printed = capsys.readouterr().out
    assert "Mask-Ens" in printed and "mask of a" in printed
    assert "Pred-Ens" not in printed and "IoU, a & b" in printed


def test_evaluate_on_other_data(finished, own_folder, capsys):
    for path in (own_folder / "c").rglob("*.png"):
        if path.stem not in "0123":
            path.unlink()
    argv = [str(finished), "--data", str(own_folder), "--json"]
    assert evaluate.main(argv) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["counts"]["out_of_domain"] == {"c": 12}


def test_aggregate_and_other_settings(tiny_folder, tmp_path, capsys):
    argv = small(
        tiny_folder,
        tmp_path / "run",
        *("--optimizer", "sgd", "--augment", "none"),
        *("--sampling", "balanced", "--schedule", "inverse"),
        *("--precision", "mixed_bfloat16"),
        *AGGREGATE,
    )
    assert train.main(argv) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert list(results["in_domain"]) == ["pred_ens"]
    assert results["mask_iou"] == {}
    assert "Pred-Ens" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_can_be_prolonged(finished, tiny_folder, tmp_path):
    output = tmp_path / "run"
    shutil.copytree(finished, output)
    argv = small(tiny_folder, output, *STUB, "--resume")
    argv[argv.index("--epochs") + 1] = "3"
    assert train.main(argv) == 0
    assert len((output / "history.csv").read_text().splitlines()) == 4


# === Mistakes ===


def test_wrong_names_do_not_wait_for_tensorflow():
    flags = ["--target", "a", "--backbone", "resnet19"]
    assert answer_of("train.py", *flags, within=2) == (
        2,
        "",
        "error: unknown --backbone 'resnet19'; known: alexnet, resnet18, "
        "resnet50, efficientnet_lite0, conv4, keras:NAME, keras_hub:NAME. "
        "Did you mean 'resnet18'?\n",
    )


@pytest.mark.parametrize("program", ["train.py", "evaluate.py"])
def test_help_is_quick(program):
    code, printed, _ = answer_of(program, "--help", within=1)
    assert code == 0 and "usage:" in printed


@pytest.mark.parametrize(
    "extra,words",
    [
        (["--target", "d"], "unknown domain in"),
        (["--sources", "a"], "--method dmg needs 2 source domains, got a"),
        (["--mask-sites", "layer9"], "unknown mask site of resnet18 'layer9'"),
        (["--weights", "/no/such.pth"], "/no/such.pth"),
        (["--data", "/no/such/folder"], "does not exist"),
        (["--dataset", "pacs"], "there are no lists"),
        (["--output", "/dev/null/run"], "/dev/null/run"),
    ],
)
def test_mistakes_leave_nothing(tiny_folder, tmp_path, capsys, extra, words):
    output = tmp_path / "run"
    argv = small(tiny_folder, output, *extra)
    assert words in error_of(capsys, argv)
    assert not output.exists()


def test_weights_that_do_not_fit(tiny_folder, tmp_path, capsys):
    path = tmp_path / "weights.npz"
    np.savez(path, **{"conv1.weight": np.zeros((64, 3, 7, 7), np.float32)})
    argv = small(tiny_folder, tmp_path / "run", "--weights", str(path))
    line = error_of(capsys, argv)
    assert str(path) in line and "missing" in line
    assert not (tmp_path / "run").exists()


def test_output_that_holds_something(finished, tiny_folder, tmp_path, capsys):
    line = error_of(capsys, small(tiny_folder, finished))
    assert "holds a run already" in line and "--resume" in line
    (tmp_path / "thesis.tex").write_text("mine")
    line = error_of(capsys, small(tiny_folder, tmp_path))
    assert "is not empty and holds no run" in line
    assert (tmp_path / "thesis.tex").read_text() == "mine"
    line = error_of(capsys, small(tiny_folder, tmp_path / "thesis.tex"))
    assert "is a file" in line


def damage(folder, *names):
    for name in names:
        path = folder / name
        path.write_bytes(path.read_bytes()[:300])


def test_damaged_image_is_named(own_folder, tmp_path, capsys):
    damage(own_folder, "a/x/3.png", "a/x/4.png", "a/x/5.png")
    argv = small(own_folder, tmp_path / "run", *AGGREGATE, "--cache", "none")
    line = error_of(capsys, argv)
    assert "cannot read the image" in line and "a/x/" in line
    assert "truncated" in line and "--on-bad-image skip" in line
    assert not (tmp_path / "run").exists()


def test_damaged_target_image_is_named(own_folder, tmp_path, capsys):
    damage(own_folder, "c/z/7.png")
    argv = small(own_folder, tmp_path / "run", *AGGREGATE, "--cache", "none")
    line = error_of(capsys, argv)
    assert "c/z/7.png" in line
    # training was done and is kept
    assert (tmp_path / "run" / "model.keras").exists()
    assert not (tmp_path / "run" / "results.json").exists()


def test_damaged_images_can_be_skipped(own_folder, tmp_path, capsys):
    damage(own_folder, "a/x/3.png", "c/z/7.png")
    skip = ["--on-bad-image", "skip"]
    argv = small(own_folder, tmp_path / "run", *skip, *AGGREGATE)
    assert train.main(argv) == 0
    assert "2 unreadable images are left out" in capsys.readouterr().err
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    names = sorted(pathlib.Path(p).name for p in results["bad_images"])
    assert names == ["3.png", "7.png"]
    counts = results["counts"]
    assert counts["out_of_domain"] == {"c": 35}
    assert counts["train"]["a"] + counts["validation"]["a"] == 35
    assert evaluate.main([str(tmp_path / "run"), "--json"]) == 0


def test_loss_that_is_not_finite(tiny_folder, tmp_path, capsys, monkeypatch):
    """The second epoch diverges; the first one's files are kept."""
    make_model = run_module.make_model

    def broken(config, data):
        model = make_model(config, data)
        penalties = model.penalties

        def explode():
            late = model.optimizer.iterations >= 5
            bad = tf.where(late, float("nan"), 0.0)
            return {**penalties(), "bad": (1.0, bad)}

        model.penalties = explode
        return model

    monkeypatch.setattr(run_module, "make_model", broken)
    line = error_of(capsys, small(tiny_folder, tmp_path / "run", *AGGREGATE))
    # 66 images at 16 a step are 4 steps an epoch; step 6 was the bad one
    assert "the loss is nan at step 8" in line
    assert tf.train.latest_checkpoint(str(tmp_path / "run/checkpoint"))
    assert len((tmp_path / "run/history.csv").read_text().splitlines()) == 2


def train_in_16_kilobytes(argv):
    """Files may not grow beyond, which the model does."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, 2**14))
    return train.main(argv)


def test_full_disk(tiny_folder, tmp_path):
    output = tmp_path / "run"
    argv = small(tiny_folder, output, *STUB)
    code, _, errors = Forked(train_in_16_kilobytes, argv).finish()
    assert code == 2, errors
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith(f"error: cannot write {output}")
    assert not output.exists()


@pytest.mark.parametrize(
    "name,words",
    [("nothing", "is not a run folder"), ("unfinished", "is not finished")],
)
def test_evaluate_without_a_run(finished, tmp_path, capsys, name, words):
    folder = tmp_path / name
    folder.mkdir()
    if name == "unfinished":
        shutil.copy(finished / "config.json", folder)
    assert words in error_of(capsys, [str(folder)], evaluate.main)


def test_evaluate_with_a_wrong_rule(finished, capsys):
    argv = [str(finished), "--prediction-rule", "mask/d"]
    line = error_of(capsys, argv, evaluate.main)
    assert "unknown prediction rule 'mask/d'" in line


def test_evaluate_with_other_classes(finished, own_folder, capsys):
    for domain in "abc":
        (own_folder / domain / "x").rename(own_folder / domain / "w")
    argv = [str(finished), "--data", str(own_folder)]
    line = error_of(capsys, argv, evaluate.main)
    assert "the model knows the classes x, y, z; the data has w, y, z" in line
