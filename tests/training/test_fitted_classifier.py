"""A last layer that starts as a linear probe of the first weights."""

import pathlib

import numpy as np
import pytest

from dmg_tf.errors import UserError
from dmg_tf.evaluation.images import load_data
from dmg_tf.experiment import make_model, run_training
from dmg_tf.methods.build import build_model
from dmg_tf.registry import METHODS
from dmg_tf.runs.folder import load_run_model
from dmg_tf.runs.history import read_history
from dmg_tf.training.first_weights.fitted import fit
from tests.training.runs import (
    Kill,
    Killed,
    assert_same,
    kept,
    short_run,
    without_clocks,
)


@pytest.fixture(scope="module", autouse=True)
def known(with_stub):
    """Knows the stub."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file with weights for the stub, whose classifier is for 9 classes."""
    model = build_model("aggregate", "stub", 9, ("a", "b"), image_size=32)
    path = tmp_path_factory.mktemp("weights") / "stub.npz"
    entries = {
        name: np.transpose(variable.numpy(), np.argsort(axes))
        for name, (variable, axes) in model.torchvision_entries().items()
    }
    np.savez(path, **entries)
    return path


@pytest.fixture
def config(tiny_folder, weights, tmp_path):
    """Makes settings of a run that starts with a fitted classifier."""

    def make(name="run", **changes):
        return short_run(
            tiny_folder,
            tmp_path / name,
            **{
                "weights": str(weights),
                "classifier_init": "fitted",
                "recipe": "paper",  # else views, drawn by the files' times
                "cache_dir": str(tmp_path / "cache"),
                **changes,
            },
        )

    return make


def scored(run):
    """Returns the validation accuracy of the last epoch."""
    return read_history(run.run_dir / "history.csv")[-1]["validation_overall"]


def clouds(rng, count, classes=4, features=6):
    """Returns features in a cloud for each class, and their labels."""
    labels = rng.integers(0, classes, count)
    centres = np.random.default_rng(7).normal(size=(classes, features)) * 2
    return centres[labels] + rng.normal(size=(count, features)), labels


def test_fit_is_the_regression_that_validation_likes_best():
    rng = np.random.default_rng(0)
    train, validation = clouds(rng, 300), clouds(rng, 90)
    parts = [(train[0][i::3], train[1][i::3]) for i in range(3)]
    kernel, bias, accuracy = fit(parts, [validation], 4)

    # the same by augmented least squares, over decays and a grid of scales
    x, y = train[0], np.eye(4)[train[1]]
    centred = x - x.mean(axis=0)
    variance = np.mean(np.var(x, axis=0))
    best = (np.inf,)
    for decay in (1e-3, 1e-2, 1e-1, 1.0):
        root = np.sqrt(decay * variance * len(x)) * np.eye(6)
        w, *_ = np.linalg.lstsq(
            np.vstack([centred, root]),
            np.vstack([y - y.mean(axis=0), np.zeros((6, 4))]),
            rcond=None,
        )
        b = y.mean(axis=0) - x.mean(axis=0) @ w
        for scale in np.geomspace(0.5, 50, 400):
            logits = scale * (validation[0] @ w + b)
            shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            own = np.eye(4)[validation[1]]
            own = own * 91 / 92 + 1 / 92 / 4
            loss = -(own * np.log(shares)).sum(1).mean()
            if loss < best[0]:
                right = (logits.argmax(1) == validation[1]).mean()
                best = (loss, scale * w, scale * b, right)
    np.testing.assert_allclose(kernel, best[1], rtol=0.02, atol=0.02)
    np.testing.assert_allclose(bias, best[2], rtol=0.02, atol=0.02)
    assert accuracy == pytest.approx(best[3])
    assert accuracy > 0.8


def test_a_run_of_no_epoch_is_the_linear_probe(config, capsys):
    run = run_training(
        config(method="aggregate", epochs=0, recipe="by_size", train="all")
    )
    assert run.results["config"]["schedule"] == "cosine"
    said = capsys.readouterr().err
    assert "the classifier starts from least squares" in said
    assert "settings by the number of images (--recipe by_size)" in said
    # colours are told apart by any features
    assert scored(run) == 1.0


@pytest.mark.parametrize("part", ["all", "task_network", "classifier"])
def test_what_is_said_is_what_the_first_weights_reach(config, capsys, part):
    run_training(config(method="aggregate", epochs=0, train=part))
    said = capsys.readouterr().err
    fitted = said.split("features: validation ")[1].split("%")[0]
    scored = said.split("  validation ")[1].split("%")[0]
    assert float(fitted) == float(scored)


@pytest.mark.parametrize("method", METHODS.names())
def test_every_method_can_be_started(config, method):
    settings = config(method=method).resolve("folder")
    model = make_model(settings, load_data(settings))
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(model.num_features, 3)).astype(np.float32)
    model.start_classifier(kernel, np.float32([1, 2, 3]))
    if method == "tf_cnn":  # of lower rank
        layer = model.task_network.stages[-1]
        np.testing.assert_array_equal(layer.bias, [1, 2, 3])
        return
    entries = model.torchvision_entries()
    for name in model.classifier_entries:
        value = entries[name][0].numpy()
        right = kernel if value.ndim > 1 else [1, 2, 3]
        np.testing.assert_array_equal(value, right, err_msg=name)


def test_each_domains_own_layer_starts_as_the_same(config):
    run = run_training(config(method="multi_headed", epochs=0))
    first, second = (
        head.kernel.numpy() for head in run.model.task_network.stages[-1].layers
    )
    np.testing.assert_array_equal(first, second)


def test_resumed_run_is_as_an_unbroken_one(config):
    whole = run_training(config("whole"))
    with pytest.raises(Killed):
        run_training(config("broken"), callbacks=[Kill(1)])
    run_training(config("broken"), resume=True)
    names = [pathlib.Path(config(name).output) for name in ("whole", "broken")]
    assert_same(*(kept(name) for name in names))
    assert without_clocks(names[0]) == without_clocks(names[1])
    assert whole.results["config"]["classifier_init"] == "fitted"


def test_a_moving_average_starts_from_it(config):
    kernels = []
    for epochs in (0, 1):
        run = run_training(
            config(
                str(epochs),
                method="aggregate",
                epochs=epochs,
                average="ema",
                learning_rate=1e-12,
                weight_decay=0.0,
            )
        )
        model = load_run_model(run.run_dir)
        kernels.append(model.task_network.stages[-1].kernel.numpy())
    np.testing.assert_allclose(*kernels, rtol=1e-5)


def test_random_weights_are_refused(config):
    with pytest.raises(UserError, match="--weights imagenet or a file"):
        config(weights="none").resolve("folder")


def test_sixteen_bits(config, capsys):
    run = run_training(
        config(method="aggregate", precision="mixed_bfloat16", epochs=0)
    )
    said = capsys.readouterr().err
    fitted = said.split("features: validation ")[1].split("%")[0]
    assert float(fitted) > 50  # chance is 33
    # Six images, and features that are summed up in 16 bits here.
    assert scored(run) >= 1 / 3
