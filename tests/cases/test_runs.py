"""A run folder is one run's, nothing is lost, and what is read is checked."""

import csv
import dataclasses
import json
import os
import pathlib
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.commands import evaluate, export, paper, report, train
from dmg_tf.config import RunConfig
from dmg_tf.data.streams.cache import DiskCache
from dmg_tf.devices.devices import Devices
from dmg_tf.errors import DamagedFile, InUse, UserError
from dmg_tf.evaluation.images import (
    RunImages,
    load_data,
    naming_bad_images,
)
from dmg_tf.experiment import make_model, run_training
from dmg_tf.folders import lock as lock_module
from dmg_tf.folders.checksums import check_all
from dmg_tf.folders.lock import LOCK_NAME, alone_in
from dmg_tf.predict.predictor import load_predictor
from dmg_tf.report.run_files import RunFiles
from dmg_tf.report.run_page import run_report
from dmg_tf.runs import writing
from dmg_tf.runs.data_record import DataRecord
from dmg_tf.runs.folder import load_checked_model, read_results
from dmg_tf.runs.predictions import read_predictions
from dmg_tf.runs.writing import RunFolder
from dmg_tf.studies.runs import load_runs
from dmg_tf.training.callbacks import Timer
from dmg_tf.training.keeper import EpochKeeper
from dmg_tf.training.setup import set_up
from tests.cases import resume_other_names
from tests.cases.damage import damages

pytestmark = pytest.mark.usefixtures("with_stub")

# How many damages a reader gets; `DMG_TF_DAMAGES=500 pytest ...` tries more.
DAMAGES = int(os.environ.get("DMG_TF_DAMAGES", "12"))
STATE = ("results.json", "model.keras", "history.csv", "config.json")
STATE += ("predictions.csv", "metrics.csv", "report.html", "data.json")
STATE += ("checksums.json", "maps.json")


def flags(data, output, *more, epochs=2):
    return [
        *("--data", str(data), "--output", str(output), "--target", "c"),
        *("--backbone", "stub", "--method", "aggregate", "--weights", "none"),
        *("--image-size", "32", "--batch-size", "16", "--epochs", str(epochs)),
        *("--learning-rate", "0.01", "--cache", "memory", *more),
    ]


@pytest.fixture(scope="module")
def original(with_stub, tmp_path_factory):
    """Data, and a finished run of two epochs on it; not to be changed."""
    root = tmp_path_factory.mktemp("case")
    resume_other_names.build(root / "data")
    assert train.main(flags(root / "data", root / "run")) == 0
    return root


@pytest.fixture
def place(original, tmp_path):
    """A copy of both, which may be changed; the run remembers the copy."""
    shutil.copytree(original / "run", tmp_path / "run")
    shutil.copytree(original / "data", tmp_path / "data")
    return tmp_path


def contents_of(folder):
    """Returns {name: bytes} of what a run's state is made of."""
    return {name: (folder / name).read_bytes() for name in STATE}


def refused(capsys, main, argv):
    """Runs a program that must end with one line; returns the line."""
    capsys.readouterr()
    code = main([str(word) for word in argv])
    lines = capsys.readouterr().err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert code == 2 and len(errors) == 1 and lines[-1] == errors[0], lines
    return errors[0]


def weights_of(run_dir):
    model = keras.models.load_model(run_dir / "model.keras")
    return [weight.numpy() for weight in model.weights]


def history_of(run_dir):
    with open(run_dir / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    clocks = ("seconds", "images_per_second")
    return [{k: v for k, v in r.items() if k not in clocks} for r in rows]


def assert_same_run(one, other):
    assert history_of(one) == history_of(other)
    for first, second in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(first, second)


# === What the weights mean ===


@pytest.mark.parametrize("change", resume_other_names.CHANGES)
def test_other_names_are_refused(place, capsys, change):
    before = contents_of(place / "run")
    make, old, new = resume_other_names.CHANGES[change]
    make(place / "data")
    argv = flags(place / "data", place / "run", "--resume", epochs=3)
    line = refused(capsys, train.main, argv)
    assert f"{old}; the data has {new};" in line
    assert contents_of(place / "run") == before
    assert {p.name for p in (place / "run").iterdir()} == {
        *before,
        *("environment.json", "images.csv.gz", "checkpoint", "logs"),
    }


def test_other_images_are_refused(place, capsys):
    folder = place / "data" / "a" / "cat"
    shutil.copy(folder / "0.png", folder / "new.png")
    (place / "data" / "b" / "dog" / "3.png").unlink()
    (place / "data" / "b" / "dog" / "4.png").unlink()
    with open(folder / "5.png", "ab") as file:
        file.write(b"more")
    argv = flags(place / "data", place / "run", "--resume", epochs=3)
    line = refused(capsys, train.main, argv)
    assert "1 new (e.g. a/cat/new.png, " in line
    assert "2 gone (e.g. b/dog/" in line
    assert "1 of another size or class (e.g. a/cat/5.png, " in line


def test_a_finished_run_is_not_taken_for_one_on_other_data(place, capsys):
    """Sweeps keep finished runs; not those of data in another folder."""
    argv = flags(place / "data", place / "run", "--resume")
    assert train.main(argv) == 0
    assert "is finished" in capsys.readouterr().err
    (place / "data" / "c" / "owl" / "0.png").unlink()
    assert "1 gone" in refused(capsys, train.main, argv)


def test_evaluation_says_what_changed(original, place, capsys):
    assert evaluate.main([str(place / "run")]) == 0
    assert "note" not in capsys.readouterr().err
    (place / "data" / "c" / "owl" / "0.png").unlink()
    argv = [str(place / "run"), "--data", str(place / "data")]
    assert evaluate.main(argv) == 0
    note = "1 gone (e.g. c/owl/0.png, out_of_domain)"
    assert note in capsys.readouterr().err


def test_a_model_of_other_classes_is_refused(place, capsys):
    """As where an earlier version went on after a class was renamed."""
    (place / "run" / "checksums.json").unlink()
    path = place / "run" / "results.json"
    path.write_text(path.read_text().replace('"cat"', '"zebra"'))
    for main, argv in (
        (evaluate.main, ["--data", place / "data"]),
        (export.main, [place / "exported"]),
    ):
        if main is evaluate.main:
            resume_other_names.rename_class(place / "data")
            for domain in "abc":  # in the order of the results
                renamed = place / "data" / domain / "zebra"
                shutil.copytree(renamed, place / "data" / domain / "cat")
                shutil.rmtree(renamed)
            path.write_text(path.read_text())
        line = refused(capsys, main, [place / "run", *argv])
        assert "zebra" in line


def as_version_0_1(run_dir):
    """Takes away what version 0.1 did not write."""
    for name in ("checksums.json", "data.json", "images.csv.gz"):
        (run_dir / name).unlink()


def test_a_run_without_a_record(place, original, capsys):
    as_version_0_1(place / "run")
    resume_other_names.add_class(place / "data")
    config = json.loads((place / "run" / "config.json").read_text())
    config["data"] = str(place / "data")
    (place / "run" / "config.json").write_text(json.dumps(config))
    argv = flags(place / "data", place / "run", "--resume", epochs=3)
    line = refused(capsys, train.main, argv)
    assert "cat, dog, owl; the data has ant, cat, dog, owl" in line
    for domain in "abc":
        shutil.rmtree(place / "data" / domain / "ant")
    assert train.main(argv) == 0
    assert "kept no record of its data" in capsys.readouterr().err
    assert len(history_of(place / "run")) == 3
    check_all(place / "run")


# === A finished run goes on ===


class EndOfEpoch(keras.callbacks.Callback):
    """Does something after an epoch."""

    def __init__(self, epoch, act):
        super().__init__()
        self.number, self.act = epoch, act

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.number:
            self.act()


def interrupt():
    raise KeyboardInterrupt


def config_of(data, output, epochs, cache="memory"):
    return RunConfig(
        target="c",
        data=str(data),
        output=str(output),
        backbone="stub",
        method="aggregate",
        weights="none",
        image_size=32,
        batch_size=16,
        epochs=epochs,
        learning_rate=0.01,
        cache=cache,
    )


@pytest.fixture(scope="module")
def longer(original):
    """The unbroken run of four epochs."""
    path = original / "longer"
    assert train.main(flags(original / "data", path, epochs=4)) == 0
    return path


def test_what_a_run_left_stays_until_all_of_the_new_is_there(
    place, longer, capsys, monkeypatch
):
    """The data is elsewhere now, which is no difference."""
    run_dir, before = place / "run", contents_of(place / "run")
    config = config_of(place / "data", run_dir, 4)
    with pytest.raises(KeyboardInterrupt):
        run_training(config, True, [EndOfEpoch(3, interrupt)])
    assert contents_of(run_dir) == before
    assert (run_dir / "going_on").exists()  # to go on from epoch 3
    check_all(run_dir)
    assert evaluate.main([str(run_dir), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["out_of_domain"] == read_results(run_dir)["out_of_domain"]

    # Killed while the new takes the old one's place: readers see the new.
    replace, moved = os.replace, []

    def replace_some(source, target):
        if pathlib.Path(source).parent == run_dir / "going_on" and (
            pathlib.Path(target).parent == run_dir
        ):
            moved.append(target)
            if len(moved) == 4:
                raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("dmg_tf.runs.writing.os.replace", replace_some)
        with pytest.raises(KeyboardInterrupt):
            run_training(config, True)
    assert (run_dir / "going_on" / "results.json").exists()
    assert read_results(run_dir)["config"]["epochs"] == 4
    run_report(RunFiles.read(run_dir))
    with lock_of(run_dir):
        pass
    shutil.rmtree(run_dir / "logs")
    assert report.main([str(run_dir)]) == 0  # ends what was begun
    assert not (run_dir / "going_on").exists()
    check_all(run_dir)
    assert_same_run(run_dir, longer)


def test_a_run_that_cannot_go_on_leaves_the_old(place, capsys):
    before = contents_of(place / "run")
    for path in (place / "data" / "a" / "cat").iterdir():
        size = path.stat().st_size
        path.write_bytes(bytes(size))  # the same data by name and size
    more = ("--resume", "--cache", "none")
    argv = flags(place / "data", place / "run", *more, epochs=3)
    assert "cannot read the image" in refused(capsys, train.main, argv)
    assert contents_of(place / "run") == before
    assert not (place / "run" / "going_on").exists()


# === One writer ===


def lock_of(folder):
    return alone_in(folder, "give another --output")


def holder(folder):
    """Starts a process that holds a folder's lock; returns its number."""
    ready, told = os.pipe()
    pid = os.fork()
    if not pid:
        with lock_of(folder):
            os.write(told, b"!")
            signal.pause()
        os._exit(0)
    os.read(ready, 1)
    os.close(ready)
    os.close(told)
    return pid


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_second_run_is_refused_and_a_dead_one_is_not_waited_for(
    original, tmp_path, capsys
):
    output = tmp_path / "run"
    output.mkdir()
    pid = holder(output)
    try:
        line = refused(capsys, train.main, flags(original / "data", output))
        assert f"{output} is in use: process {pid} on " in line
        assert "since 20" in line and "give another --output" in line
        assert [p.name for p in output.iterdir()] == [LOCK_NAME]
    finally:
        end(pid)
    assert (output / LOCK_NAME).exists()
    with lock_of(output) as lock:
        assert lock.held and lock.owner["process"] == os.getpid()
    assert not (output / LOCK_NAME).exists()


@pytest.mark.parametrize("alive", [False, True])
def test_a_holder_on_another_machine(tmp_path, monkeypatch, alive):
    """Nothing says that it is gone but that its file is not touched."""
    monkeypatch.setattr(lock_module, "_PATIENCE_SECONDS", 0.4)
    path = tmp_path / LOCK_NAME
    owner = {"host": "elsewhere", "process": 1, "since": "2026-01-01 00:00:00"}
    path.write_text(json.dumps(owner))
    beats = iter(range(100))

    def touched(path):
        return next(beats) if alive else 0

    monkeypatch.setattr(lock_module, "_touched", touched)
    if alive:
        with pytest.raises(InUse, match="process 1 on elsewhere"):
            with lock_of(tmp_path):
                pass
        assert json.loads(path.read_text()) == owner
    else:
        with lock_of(tmp_path) as lock:
            assert lock.held


def test_a_run_that_lost_its_folder_removes_nothing(original, tmp_path):
    """The first of two was stopped by its user, who removed its folder."""
    output = tmp_path / "run"

    def replaced():
        shutil.rmtree(output)
        output.mkdir()
        (output / "thesis.tex").write_text("mine")

    with pytest.raises(UserError, match="was removed, renamed or taken over"):
        run_training(
            config_of(original / "data", output, 3),
            callbacks=[EndOfEpoch(1, replaced)],
        )
    assert [p.name for p in output.iterdir()] == ["thesis.tex"]


def test_data_that_is_removed_is_blamed(place):
    """And what was written stays, to go on from."""
    output = place / "new"

    def remove():
        shutil.rmtree(place / "data")

    with pytest.raises(UserError, match="cannot read the image .*/data/"):
        run_training(
            config_of(place / "data", output, 9, cache="none"),
            callbacks=[EndOfEpoch(1, remove)],
        )
    assert (output / "model.keras").exists()


# === What killed runs leave ===


def test_a_new_run_s_folder_has_its_lock_alone(original, tmp_path, monkeypatch):
    """Other machines of the run may be looking whether it is empty."""
    config = config_of(original / "data", tmp_path / "run", 2)
    opened, plain = [], os.open

    def recorded(path, *args, **kwargs):
        opened.append(str(path))
        return plain(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", recorded)
    with RunFolder.open(config.resolve("folder"), resume=False):
        inside = {p for p in opened if p.startswith(config.output)}
        assert inside == {str(tmp_path / "run" / LOCK_NAME)}


def test_killed_before_its_first_file_was_whole(original, tmp_path):
    output = tmp_path / "run"
    output.mkdir()
    for name in (".4711-config.json", ".0123abcdef01-config.json", ".lock"):
        (output / name).write_text("{")
    assert RunFolder(output) == RunFolder._look(
        config_of(original / "data", output, 2).resolve("folder"), False
    )
    config = config_of(original / "data", output, 2).resolve("folder")
    with RunFolder.open(config, resume=False) as folder:
        assert not folder.going_on
        assert [p.name for p in output.iterdir()] == [LOCK_NAME]


def test_killed_while_all_of_the_new_takes_its_place(
    place, longer, monkeypatch
):
    argv = flags(place / "data", place / "run", "--resume", epochs=4)
    with monkeypatch.context() as patch:
        patch.setattr(writing, "_move_next", lambda run_dir: interrupt())
        assert train.main(argv) == 130
    assert (place / "run" / "going_on").exists()
    (place / "run" / LOCK_NAME).touch()
    assert train.main(argv) == 0
    left = {path.name for path in (place / "run").iterdir()}
    assert not left & {"going_on", LOCK_NAME}
    assert_same_run(place / "run", longer)


@pytest.mark.parametrize("removed", range(5))
def test_interrupted_again_while_it_cleans_up(
    original, tmp_path, monkeypatch, removed
):
    config = config_of(original / "data", tmp_path / "run", 2)
    config = config.resolve("folder")
    left, plain = iter(range(removed)), pathlib.Path.unlink

    def unlink(path, **options):
        if next(left, None) is None:
            raise KeyboardInterrupt
        plain(path, **options)

    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
        with RunFolder.open(config, resume=False) as folder:
            record = DataRecord.read(original / "run")
            with folder.writing(config, {}, record):
                patch.setattr(pathlib.Path, "unlink", unlink)
                raise KeyboardInterrupt
    with RunFolder.open(config, resume=True) as folder:
        assert folder.going_on and folder.results is None


def test_what_was_half_written_is_removed(place):
    run_dir = place / "run"
    before = {p.relative_to(run_dir) for p in run_dir.rglob("*")}
    for name in ("model.keras", "history.csv", "report.html", "results.json"):
        (run_dir / f".4711-{name}").write_text("half")
        (run_dir / f".0123abcdef01-{name}").write_text("half")
    for name in (".0123abcdef01-saved_model", "checkpoint/ckpt-9_temp"):
        (run_dir / name).mkdir()
        (run_dir / name / "part").write_text("half")
    (run_dir / "checkpoint" / "checkpoint.tmp0123").write_text("half")
    (run_dir / ".mine-model.keras").write_text("no run's")
    assert report.main([str(run_dir)]) == 0
    after = {p.relative_to(run_dir) for p in run_dir.rglob("*")}
    assert after - before == {pathlib.Path(".mine-model.keras")}
    assert before <= after


# === Damage ===


def test_the_checkpoint_before_is_gone_on_from(place, longer, capsys):
    checkpoint = place / "run" / "checkpoint"
    (data,) = checkpoint.glob("ckpt-2.data*")
    contents = data.read_bytes()
    data.write_bytes(
        contents[:500] + bytes([contents[500] ^ 1]) + contents[501:]
    )
    (checkpoint / "checkpoint").write_bytes(b"\xff\x00damaged")
    argv = flags(place / "data", place / "run", "--resume", epochs=4)
    assert train.main(argv) == 0
    said = capsys.readouterr().err
    assert "warning: " in said and "ckpt-2.data-00000-of-00001 is not" in said
    assert "going on from the checkpoint before, 1" in said
    assert_same_run(place / "run", longer)
    numbers = {p.stem for p in checkpoint.glob("*.index")}
    assert numbers == {"ckpt-3", "ckpt-4"}


def test_no_whole_checkpoint_is_no_new_beginning(place, capsys):
    for path in (place / "run" / "checkpoint").glob("*.index"):
        path.write_bytes(path.read_bytes()[:20])
    before = contents_of(place / "run")
    argv = flags(place / "data", place / "run", "--resume", epochs=3)
    line = refused_with_notes(capsys, argv)
    assert "no other checkpoint" in line and "ckpt-2.index" in line
    assert contents_of(place / "run") == before


def refused_with_notes(capsys, argv):
    capsys.readouterr()
    assert train.main(argv) == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture(scope="module")
def readers(original):
    """{name: (files, function of the run folder that reads them)}."""
    config = config_of(original / "data", original / "run", 2)
    config = config.resolve("folder")
    devices = Devices("one")
    data = load_data(config)
    model = make_model(config, data)
    images = RunImages(config, data, model)
    setup = set_up(model, images, RunFolder(original / "run"), devices)

    def read_run(run_dir):
        results = read_results(run_dir)
        model = load_checked_model(run_dir, results)
        weights = [w.numpy().tolist() for w in model.weights]
        settings = RunConfig.read(run_dir).to_json()
        return settings, results, weights, DataRecord.read(run_dir)

    def read_report(run_dir):
        return run_report(RunFiles.read(run_dir))

    def read_table(run_dir):
        table = read_predictions(run_dir / "predictions.csv", data.class_names)
        return table.paths, table.predictions.probabilities["pred_ens"].tolist()

    def restore(run_dir):
        folder = RunFolder(run_dir, going_on=True)
        keeper = EpochKeeper(
            dataclasses.replace(setup, folder=folder), Timer(1)
        )
        done = keeper.restore()
        return done, repr(keeper.selection.history)

    run_dir = original / "run"
    checkpoint = sorted((run_dir / "checkpoint").iterdir())
    listing = run_dir / "checksums.json"
    of = {
        "run": (
            STATE[:2] + ("config.json", "data.json", "images.csv.gz"),
            read_run,
        ),
        "report": (
            ("results.json", "environment.json", "history.csv"),
            read_report,
        ),
        "table": (("predictions.csv",), read_table),
        "restore": (
            ("history.csv", *(f"checkpoint/{p.name}" for p in checkpoint)),
            restore,
        ),
    }
    return {
        name: ([*(run_dir / f for f in files), listing], read)
        for name, (files, read) in of.items()
    }


@pytest.mark.parametrize("name", ["run", "report", "table", "restore"])
def test_damage_is_told_or_harmless(original, readers, tmp_path, capsys, name):
    files, read = readers[name]
    run_dir = tmp_path / "run"
    shutil.copytree(original / "run", run_dir)
    expected, told = read(run_dir), 0
    for path, damaged in damages(files, DAMAGES):
        place = run_dir / path.relative_to(original / "run")
        place.write_bytes(damaged)
        capsys.readouterr()
        try:
            found = read(run_dir)
        except UserError as error:
            assert len(str(error).splitlines()) == 1
            assert place.name in str(error)
            told += 1
        else:
            warned = f"{place.name} is" in capsys.readouterr().err
            assert found == expected or (warned and found[0] == 1), place
            told += warned
        place.write_bytes(path.read_bytes())
    assert told >= DAMAGES // 3
    assert read(run_dir) == expected


def test_a_damaged_export_is_told(original, tmp_path, capsys):
    out, copy = tmp_path / "exported", tmp_path / "copy"
    assert export.main([str(original / "run"), str(out)]) == 0
    files = [path for path in sorted(out.rglob("*")) if path.is_file()]
    assert len(files) >= 5
    shutil.copytree(out, copy)
    for path, damaged in damages(files, DAMAGES):
        place = copy / path.relative_to(out)
        place.write_bytes(damaged)
        with pytest.raises(UserError) as caught:
            load_predictor(copy)
        assert len(str(caught.value).splitlines()) == 1
        place.write_bytes(path.read_bytes())


def test_damaged_kept_images_are_told_or_decoded_anew(
    original, tmp_path, capsys
):
    paths = sorted(map(str, (original / "data").rglob("*.png")))[:6]
    cache = DiskCache(tmp_path, 32)
    cache.fill(paths)
    files = sorted(p for p in tmp_path.rglob("*") if p.is_file())
    assert len(files) == len(paths)
    reader = tf.autograph.experimental.do_not_convert(cache.reader(paths))
    index = {cache._kept_path(path): i for i, path in enumerate(paths)}
    read = tf.function(reader, autograph=False)
    before = [read(tf.constant(i, tf.int64)).numpy() for i in range(len(paths))]
    for path, damaged in damages(files, DAMAGES):
        whole = path.read_bytes()
        path.write_bytes(damaged)
        number = index[str(path)]
        with pytest.raises(UserError, match=f"{path}.* is damaged, and was"):
            with naming_bad_images(paths):
                read(tf.constant(number, tf.int64))
        assert not path.exists()
        later = DiskCache(tmp_path, 32)
        later.fill(paths)
        assert path.read_bytes() == whole
        np.testing.assert_array_equal(
            read(tf.constant(number, tf.int64)), before[number]
        )
    files[0].write_bytes(b"")
    later = DiskCache(tmp_path, 32)
    assert len(later.missing(paths)) == 1
    assert (
        f"{files[0]} in the image cache is damaged" in capsys.readouterr().err
    )


def test_two_processes_fill_one_cache(original, tmp_path):
    paths = sorted(map(str, (original / "data").rglob("*.png")))[:4]
    for name in (".filling-gone", ".filling-alive"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("half")
    pid = holder(tmp_path / ".filling-alive")
    try:
        DiskCache(tmp_path, 32).fill(paths)
    finally:
        end(pid)
    left = {p.name for p in tmp_path.glob(".*")}
    assert left == {".filling-alive"}


def test_one_damaged_run_does_not_stop_the_tables(original, place, capsys):
    folder = place / "runs"
    for name in ("one", "two"):
        shutil.copytree(original / "run", folder / name)
    path = folder / "two" / "results.json"
    path.write_bytes(path.read_bytes().replace(b"0", b"\xff"))
    runs, _ = load_runs(folder)
    assert [run.run_dir.name for run in runs] == ["one"]
    assert "left out two: " in capsys.readouterr().err
    assert paper.main([str(folder)]) == 0
    path.with_name("checksums.json").unlink()
    for text in ("[1]", "[" * 100_000, '{"config": 1}', "{}", "7"):
        path.write_text(text)
        with pytest.raises(DamagedFile, match="two/results.json is damaged"):
            read_results(folder / "two")
