import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.config import RunConfig
from dmg_tf.errors import UserError
from dmg_tf.experiment import run_training
from dmg_tf.methods.dica.landmarks import Landmarks, choose_landmarks
from tests.methods.source_features import (
    CLASSES,
    DOMAINS,
    SourceFeatures,
    assert_fitted,
    make,
)

pytestmark = pytest.mark.usefixtures("with_stub")


def test_the_fit_stands_in_for_the_trained_layer_for_a_while():
    model = make("dica")
    last = model.task_network.stages[-1]
    trained = [w.numpy() for w in last.weights]
    source = SourceFeatures(model)
    with model.scored_weights():
        model.before_validation(source)
        logits = assert_fitted(model, source)
        model.before_validation(source)  # again: the same
        again = model.logits(source.images("validation")[0])
        np.testing.assert_array_equal(again, logits)
        measures = model.measures()["domain_variance"]
        assert 0 < measures["components"] < 1 > measures["features"] > 0
    for before, weight in zip(trained, last.weights, strict=True):
        np.testing.assert_array_equal(before, weight)


@pytest.mark.parametrize(
    "options",
    [
        {"dica_form": "unsupervised", "dica_components": 5},
        {"dica_whitening": "none"},
        {"dica_form": "printed", "dica_shrinkage": 10.0},
        {"dica_form": "unsupervised", "dica_lambda": 0.1},
    ],
)
def test_every_form_tells_classes(options):
    model = make("dica", **options)
    source = SourceFeatures(model)
    with model.scored_weights():
        model.before_validation(source)
        assert_fitted(model, source)


def test_weight_on_the_variance_brings_the_domains_means_together():
    def share(weight):
        model = make("dica", dica_variance_weight=weight)
        source = SourceFeatures(model)
        model.before_validation(source)
        return model.measures()["domain_variance"]["components"]

    assert share(1e4) < 0.01 * share(0.0)


def test_the_gaussian_kernel_s_head_is_kept_with_the_model(tmp_path):
    model = make("dica", dica_kernel="rbf", dica_landmarks=30)
    source = SourceFeatures(model)
    images = source.images("validation")[0]
    before = model.logits(images)
    last = model.task_network.stages[-1]
    np.testing.assert_allclose(before, last(model.embed(images)), atol=1e-6)
    model.before_validation(source)
    logits = assert_fitted(model, source)
    # Training goes on with the network's own layer.
    np.testing.assert_array_equal(
        model({"image": images}, training=True), before
    )
    assert not any("head" in w.path for w in model.trainable_weights)
    assert model.head in model.inference_layers()
    assert not any("head" in name for name in model.torchvision_entries())
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.logits(images), logits)
    np.testing.assert_array_equal(loaded.domain_variance, model.domain_variance)


def test_the_head_is_the_kernel_of_the_landmarks():
    model = make("dica", dica_kernel="rbf", dica_landmarks=40)
    rng = np.random.default_rng(0)
    points, features = rng.normal(50, 1, (2, 31, 8))
    landmarks = Landmarks(points)
    kernel, bias = rng.normal(size=(31, CLASSES)), rng.normal(size=CLASSES)
    model.head.assign_fit(landmarks, kernel, bias)
    found = model.head(tf.constant(features, tf.float32), tf.zeros((31, 4)))
    expected = landmarks(features) @ kernel + bias
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_landmarks_are_as_many_of_each_class_and_domain():
    model = make("dica")
    source = SourceFeatures(model, 96)
    batches = list(source.features("train"))
    found = choose_landmarks(batches, 2, seed=3)
    np.testing.assert_array_equal(found, choose_landmarks(batches, 2, seed=3))
    assert not np.array_equal(found, choose_landmarks(batches, 2, seed=4))
    hidden, labels, ids = (
        np.concatenate(x) for x in zip(*batches, strict=True)
    )
    rows = [np.flatnonzero((hidden == row).all(1))[0] for row in found]
    groups = list(zip(labels[rows], ids[rows], strict=True))
    assert len(set(rows)) == len(rows) == 2 * CLASSES * len(DOMAINS)
    assert all(groups.count(group) == 2 for group in groups)


@pytest.mark.parametrize(
    "options,words",
    [
        ({"dica_components": 4}, "must be below the number of classes, 4"),
        (
            {"dica_kernel": "rbf", "dica_landmarks": 11},
            "--dica-landmarks must be at least 12",
        ),
    ],
)
def test_mistakes(options, words):
    with pytest.raises(UserError, match=words) as caught:
        make("dica", **options)
    assert "\n" not in str(caught.value)


def test_a_run_keeps_the_fit_and_goes_on_with_what_it_trains(
    tiny_folder, tmp_path
):
    config = RunConfig(
        target="c",
        data=str(tiny_folder),
        method="dica",
        backbone="stub",
        weights="none",
        image_size=32,
        batch_size=33,
        epochs=1,
        cache="memory",
        output=str(tmp_path / "run"),
    )
    result = run_training(config)
    kept = result.model.task_network.stages[-1].kernel.numpy()
    checkpoint = tf.train.load_checkpoint(tmp_path / "run/checkpoint")
    kernels = [
        checkpoint.get_tensor(name)
        for name, shape in checkpoint.get_variable_to_shape_map().items()
        if shape == list(kept.shape) and name.startswith("model")
    ]
    assert len(kernels) == 1 and not np.allclose(kernels[0], kept, atol=1e-3)
    # The images' colour is their class.
    assert result.results["in_domain"]["pred_ens"]["overall"] > 0.8
    assert "domain_variance" in result.results
