"""Models from elsewhere: nothing in them runs, nothing small becomes huge."""

import json
import shutil
import zipfile

import pytest
import tensorflow as tf

import dmg_tf
from dmg_tf.commands import demo, predict
from dmg_tf.errors import UserError
from dmg_tf.export.run import export_run
from dmg_tf.predict.untrusted import check_untrusted
from tests.export.helpers import make, write_run

pytestmark = pytest.mark.usefixtures("with_stub")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(
        make("dmg", "stub"), tmp_path_factory.mktemp("runs") / "run"
    )


@pytest.fixture(scope="module")
def saved(run_dir):
    out = run_dir.with_name("saved")
    export_run(run_dir, out)
    return out


def test_what_is_exported_needs_no_trust(saved):
    check_untrusted(saved)


def harm(folder, do):
    """Writes a SavedModel that does something when it predicts."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.uint8)])
    def outer(images):
        # Deep in the library of functions.
        return tf.cond(tf.size(images) > 0, do, lambda: tf.constant(""))

    module.predict = outer
    tf.saved_model.save(module, str(folder))


@pytest.mark.parametrize(
    "operation, do",
    [
        ("ReadFile", lambda: tf.io.read_file("/etc/hostname")),
        ("MatchingFiles", lambda: tf.io.matching_files("/*")[0]),
        ("PyFunc", lambda: tf.numpy_function(lambda: "", [], tf.string)),
        ("RestoreV2", lambda: tf.raw_ops.RestoreV2(
            prefix="/x", tensor_names=["a"], shape_and_slices=[""],
            dtypes=[tf.string],
        )[0]),
        ("TextLineDataset", lambda: tf.data.TextLineDataset("/x")
            .get_single_element()),
        ("CacheDatasetV2", lambda: tf.data.Dataset.from_tensors("")
            .cache("/x").get_single_element()),
    ],
)  # fmt: skip
def test_a_model_that_touches_files_is_refused(tmp_path, operation, do):
    harm(tmp_path / "model", do)
    with pytest.raises(UserError, match=f"{operation}.*--trust"):
        check_untrusted(tmp_path / "model")


def test_writing_is_refused_before_it_happens(tmp_path, saved, capsys):
    written = tmp_path / "written"

    def write():
        tf.io.write_file(str(written), "x")
        tf.print("x", output_stream=f"file://{written}")
        return tf.constant("")

    harm(tmp_path / "model", write)
    hostile = tmp_path / "hostile"
    shutil.copytree(saved, hostile)
    shutil.copy(tmp_path / "model" / "saved_model.pb", hostile)
    # Who means harm writes the checksums too, or none.
    (hostile / "checksums.json").unlink()
    image = tmp_path / "image.png"
    image.write_bytes(b"")
    assert predict.main([str(hostile), str(image)]) == 2
    said = capsys.readouterr().err
    assert "it has PrintV2, StringFormat, WriteFile; pass --trust" in said
    args = demo.make_parser().parse_args([str(hostile), "--port", "0"])
    with pytest.raises(UserError, match="--trust"):
        demo.serve(args)
    with pytest.raises(UserError, match="trust=True"):
        dmg_tf.load(hostile)
    dmg_tf.load(hostile, trust=True)
    assert not written.exists()


def test_a_second_graph_is_not_overlooked(tmp_path, saved):
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    (copy / "saved_model.cpb").write_bytes(b"x")
    with pytest.raises(UserError, match=r"saved_model\.cpb"):
        check_untrusted(copy)


@pytest.mark.parametrize("name", ["num_classes", "image_size"])
def test_a_small_file_makes_no_enormous_model(tmp_path, run_dir, name):
    folder = tmp_path / "run"
    shutil.copytree(run_dir, folder)
    with zipfile.ZipFile(run_dir / "model.keras") as old:
        entries = {entry: old.read(entry) for entry in old.namelist()}
    config = json.loads(entries["config.json"])
    config["config"][name] = 10**9
    entries["config.json"] = json.dumps(config)
    with zipfile.ZipFile(folder / "model.keras", "w") as new:
        for entry, contents in entries.items():
            new.writestr(entry, contents)
    with pytest.raises(UserError, match=f"{name} is 1000000000, more"):
        dmg_tf.load(folder)
