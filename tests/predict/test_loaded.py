"""A trained model in Python: files and arrays in, classes and features out."""

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import dmg_tf
from dmg_tf.errors import UserError
from dmg_tf.export.run import export_run
from dmg_tf.predict.files import predict_files
from dmg_tf.predict.inputs import collect_paths
from tests.export.helpers import (
    CLASSES,
    SIZE,
    make,
    prepared,
    some_images,
    write_run,
)

pytestmark = pytest.mark.usefixtures("with_stub")


@pytest.fixture(scope="module")
def model():
    return make("dmg", "stub")


@pytest.fixture(scope="module")
def run_dir(model, tmp_path_factory):
    return write_run(model, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def saved(run_dir):
    export_run(run_dir, run_dir.with_name("saved"))
    return run_dir.with_name("saved")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of five files; PNG, so that pixels are exact."""
    folder = tmp_path_factory.mktemp("pictures")
    for i, image in enumerate(some_images(5)):
        PIL.Image.fromarray(image).save(folder / f"{i}.png")
    return folder


def expected(model, images, rule="pred_ens"):
    logits = model.logits(prepared(model, images), rule)
    return tf.nn.softmax(logits).numpy()


@pytest.mark.parametrize("kind", ["run", "saved model"])
def test_arrays(model, run_dir, saved, kind):
    loaded = dmg_tf.load(run_dir if kind == "run" else saved)
    assert loaded.class_names == tuple(CLASSES)
    images = some_images(5)
    found = loaded.predict(images)
    np.testing.assert_allclose(
        found.probabilities, expected(model, images), atol=1e-5
    )
    assert found.probabilities.dtype == np.float32
    best = found.probabilities.argmax(axis=1)
    assert found.classes == tuple(CLASSES[i] for i in best)
    assert found.paths == () and len(found) == 5


def test_an_array_may_be_of_any_kind(run_dir):
    loaded = dmg_tf.load(run_dir)
    images = some_images(5)
    whole = loaded.predict(images).probabilities
    for same in (
        images.astype(np.float32),
        images.astype(np.int64),
        tf.constant(images),
        list(images),
        [images[:2], images[2], images[3:]],
    ):
        for batch_size in (2, 64):
            found = loaded.predict(same, batch_size).probabilities
            np.testing.assert_allclose(found, whole, atol=1e-6)
    one = loaded.predict(images[0]).probabilities
    np.testing.assert_allclose(one, whole[:1], atol=1e-6)
    sizes = [images[0], images[1, :20, :30]]
    assert len(loaded.predict(sizes)) == 2


def test_files_are_predicted_as_their_pixels(run_dir, pictures):
    loaded = dmg_tf.load(run_dir)
    files = [pictures / f"{i}.png" for i in range(5)]
    found = loaded.predict(files, batch_size=2)
    assert found.paths == tuple(map(str, files))
    np.testing.assert_allclose(
        found.probabilities,
        loaded.predict(some_images(5)).probabilities,
        atol=1e-5,
    )
    for same in (pictures, str(pictures), f"{pictures}/*.png"):
        again = loaded.predict(same)
        assert again.paths == found.paths
        np.testing.assert_allclose(
            again.probabilities, found.probabilities, atol=1e-6
        )
    one = loaded.predict(files[3])
    assert one.paths == (str(files[3]),) and one.classes == found.classes[3:4]


def test_it_says_what_the_command_line_says(run_dir, pictures, tmp_path):
    found = dmg_tf.load(run_dir, "mask/b").predict(pictures)
    table = tmp_path / "out.csv"
    predict_files(
        str(run_dir),
        collect_paths([str(pictures)]),
        str(table),
        prediction_rule="mask/b",
    )
    rows = [row.split(",") for row in table.read_text().splitlines()[1:]]
    assert [row[0] for row in rows] == list(found.paths)
    assert [row[1] for row in rows] == list(found.classes)
    likeliest = found.probabilities.max(axis=1)
    np.testing.assert_allclose(
        [float(r[2]) for r in rows], likeliest, atol=1e-6
    )


def test_a_rule(model, run_dir):
    images = some_images(3)
    found = dmg_tf.load(run_dir, "mask_ens").predict(images).probabilities
    np.testing.assert_allclose(
        found, expected(model, images, "mask_ens"), atol=1e-5
    )


def test_class_names_of_the_model_come_first(with_stub, tmp_path):
    names = ("1", "2", "3", "4", "5")
    model = make("aggregate", "stub", class_names=names)
    folder = write_run(model, tmp_path / "named")
    assert dmg_tf.load(folder).class_names == names


def test_features_are_what_the_last_layer_reads(run_dir, pictures):
    loaded = dmg_tf.load(run_dir)
    found = loaded.embed(some_images(5))
    assert found.shape == (5, 8) and found.dtype == np.float32
    assert found.std(axis=0).max() > 1e-3
    np.testing.assert_allclose(loaded.embed(pictures, 2), found, atol=1e-5)


def test_features_feed_the_classifier(tmp_path):
    model = make("aggregate", "stub")
    loaded = dmg_tf.load(write_run(model, tmp_path / "run"))
    images = some_images(3)
    logits = model.task_network.stages[-1](loaded.embed(images))
    np.testing.assert_allclose(
        tf.nn.softmax(logits), loaded.predict(images).probabilities, atol=1e-5
    )


def test_mistakes(run_dir, saved, tmp_path):
    loaded = dmg_tf.load(run_dir)
    (tmp_path / "broken.png").write_bytes(b"no image")
    images = some_images(2)
    for given, message in [
        (tmp_path / "no.png", "there is no .*no.png"),
        (tmp_path / "broken.png", "cannot read the image .*broken.png: "),
        ([], "no images found"),
        (images[..., 0], r"got an array of shape \[2, 50, 70\]"),
        (images[..., :1], r"got an array of shape \[2, 50, 70, 1\]"),
        (images[:0], r"got an array of shape \[0, 50, 70, 3\]"),
        (images / 255.0, r"in \[0, 255\], got float64 from 0 to 1"),
        (images - 300.0, "got float64 from -300"),
        (images * np.float32(np.nan), "got float32 from nan to nan"),
    ]:
        with pytest.raises(UserError, match=message):
            loaded.predict(given)
    with pytest.raises(UserError, match="exported model has no features"):
        dmg_tf.load(saved).embed(images)
    with pytest.raises(UserError, match="unknown prediction rule 'mask/z'"):
        dmg_tf.load(run_dir, "mask/z")
    with pytest.raises(UserError, match="does not exist; give a run folder"):
        dmg_tf.load(tmp_path / "no")


def test_sizes_are_the_model_s_own(run_dir):
    assert dmg_tf.load(run_dir).facts.image_size == SIZE
