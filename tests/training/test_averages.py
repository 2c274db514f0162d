"""What is averaged of a training, and that it survives an interruption."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.evaluation.images import RunImages, images_of_run
from dmg_tf.experiment import run_training
from dmg_tf.layers.batch_norm import batch_norms
from dmg_tf.methods.build import build_model
from dmg_tf.registry import BACKBONES
from dmg_tf.report.text import selection_text
from dmg_tf.runs.history import read_history
from dmg_tf.training.averages.valley import find_valley
from dmg_tf.training.averages.weights import Swad
from tests.devices.workers import last_weights
from tests.stubs import NORMED
from tests.training.runs import (
    EPOCHS,
    Copy,
    Kill,
    Killed,
    assert_same,
    kept,
    short_run,
    without_clocks,
)

SWAD = {"average": "swad", "swad_converge": 1, "swad_patience": 2}
EMA = {"average": "ema", "ema_decay": 0.9}


class Collect(keras.callbacks.Callback):
    """Keeps the trained weights behind every step."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_begin(self, logs=None):
        """Keeps the first weights."""
        self.start = values_of(self.model)

    def on_train_batch_end(self, batch, logs=None):
        """Keeps them."""
        # By number, as Keras numbers the layers of a process.
        self.steps.append(values_of(self.model))


def values_of(model):
    return {i: w.numpy() for i, w in enumerate(model.trainable_weights)}


@pytest.fixture(scope="module")
def config(with_stub, tiny_folder):
    """Returns the settings of a short run with batch normalisation."""

    def make(output, **changes):
        fixed = {"method": "aggregate", "backbone": "normed"}
        return short_run(tiny_folder, output, **{**fixed, **changes})

    with BACKBONES.with_name("normed", NORMED):
        yield make


@pytest.fixture(scope="module")
def swad(config, tmp_path_factory):
    """A run with SWAD, and its weights behind every step."""
    collect = Collect()
    output = tmp_path_factory.mktemp("swad") / "run"
    copy = Copy(output, output.with_name("broken"), after=2)
    result = run_training(config(output, **SWAD), callbacks=[collect, copy])
    return result, collect


@pytest.fixture(scope="module")
def ema(config, tmp_path_factory):
    """A run with a moving average, and its weights behind every step."""
    collect = Collect()
    output = tmp_path_factory.mktemp("ema") / "run"
    copy = Copy(output, output.with_name("broken"), after=2)
    result = run_training(config(output, **EMA), callbacks=[collect, copy])
    return result, collect


def losses_of(result):
    rows = read_history(result.run_dir / "history.csv")
    return [row["val_loss"] for row in rows]


def test_swad_is_the_mean_over_the_steps_of_the_valley(swad):
    result, collect = swad
    segments = find_valley(losses_of(result), 1, 2, 0.3, ended=True).segments
    assert len(segments) > 1
    period = len(collect.steps) // EPOCHS
    steps = [
        weights
        for segment in segments
        for weights in collect.steps[segment * period : (segment + 1) * period]
    ]
    for index, value in values_of(result.model).items():
        mean = np.mean([step[index] for step in steps], axis=0)
        np.testing.assert_allclose(value, mean, atol=1e-6)
    periods = [segment + 1 for segment in segments]
    assert result.results["average"] == {"kind": "swad", "periods": periods}
    said = selection_text(result.results)
    assert f"validations {periods[0]} to {periods[-1]} were averaged" in said


def test_swad_makes_batch_statistics_anew(swad):
    result, _ = swad
    config, data = images_of_run(result.results)
    images = RunImages(config, data, result.model)
    images.fill_cache()
    stream = images.training(_OneDevice())
    stem = result.model.feature_extractor.get_layer("stem")
    means = []
    for inputs, _ in stream.dataset().take(stream.steps_per_epoch):
        found = stem.get_layer("stem.conv")(inputs["image"])
        means.append(np.mean(found, axis=(0, 1, 2)))
    norm = stem.get_layer("stem.norm")
    expected = np.mean(means, axis=0)
    np.testing.assert_allclose(norm.moving_mean, expected, atol=1e-5)
    assert all(norm.momentum == 0.9 for norm in batch_norms([result.model]))


class _OneDevice:
    def even_batch(self, batch_size, num_images, multiple=1):
        return batch_size


def test_what_is_scored_is_the_average(swad):
    result, _ = swad
    selected = result.results["selection"]
    in_domain = result.results["in_domain"][selected["rule"]]
    # A folder has no test images: both are of its validation images.
    assert in_domain["overall"] == selected["value"]


def test_a_moving_average_is_kept(ema):
    result, collect = ema
    period = len(collect.steps) // EPOCHS
    selected = result.results["selection"]["epoch"]
    average = collect.start
    for step, weights in enumerate(collect.steps[: selected * period], 1):
        share = min(0.9, (1 + step) / (10 + step))
        average = {
            index: share * average[index] + (1 - share) * value
            for index, value in weights.items()
        }
    for index, value in values_of(result.model).items():
        np.testing.assert_allclose(value, average[index], atol=1e-5)


def test_averages_change_nothing_of_the_training(swad, ema):
    for mine, theirs in zip(swad[1].steps, ema[1].steps, strict=True):
        assert_same(mine, theirs)


@pytest.mark.parametrize("wrapper", ["swad", "ema"])
def test_a_resumed_run_ends_as_an_unbroken_one(wrapper, swad, ema, config):
    changes = {"swad": SWAD, "ema": EMA}[wrapper]
    whole = {"swad": swad, "ema": ema}[wrapper][0]
    broken = whole.run_dir.with_name("broken")
    assert len(without_clocks(broken)) == 2
    result = run_training(config(broken, **changes), resume=True)
    assert without_clocks(result.run_dir) == without_clocks(whole.run_dir)
    assert_same(last_weights(result.run_dir), last_weights(whole.run_dir))
    assert_same(kept(result.run_dir), kept(whole.run_dir))
    for part in ("selection", "in_domain", "out_of_domain"):
        assert result.results[part] == whole.results[part]


@pytest.fixture
def model(with_stub):
    """A model whose weights are set by hand."""
    model = build_model("aggregate", "stub", 3, ("a", "b"), image_size=32)
    model.compile()
    return model


def steps(average, model, numbers):
    """Lets an average see weights that are all a number."""
    for number in numbers:
        for weight in model.trainable_weights:
            weight.assign(tf.fill(weight.shape, float(number)))
        average.after_step()


def test_no_valley_yet(model):
    average = Swad(model, converge=3, patience=6, tolerance=0.3)
    losses = []
    for segment, loss in enumerate([3.0, 2.0, 1.0]):
        steps(average, model, [2 * segment, 2 * segment + 1])
        losses.append(loss)
        assert not average.after_validation(losses)
    average.finish(losses, stream=None)
    for value in values_of(model).values():
        np.testing.assert_allclose(value, 4.5)
    results = {
        "config": {},
        "prediction_rules": ["plain"],
        "selection": {"rule": "plain", "value": 0.5},
        "counts": {"validation": {"a": 40, "b": 40}},
        **average.summary(),
    }
    assert average.summary()["average"]["periods"] == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dmg_tf.report.text.title_of", lambda *_: "Plain")
        assert "has no valley yet" in selection_text(results)


def test_the_end_of_a_valley_ends_the_training(model):
    average = Swad(model, converge=2, patience=2, tolerance=0.5)
    losses, ended = [], []
    for segment, loss in enumerate([3.0, 1.0, 1.1, 1.2, 9.0, 9.0]):
        steps(average, model, [segment, segment, segment + 3])
        losses.append(loss)
        ended.append(average.after_validation(losses))
    assert ended == [False] * 5 + [True]
    average.finish(losses, stream=None)
    # Segments 1, the start, to 3, the last of a pair that is low.
    for value in values_of(model).values():
        np.testing.assert_allclose(value, 3.0, rtol=1e-6)
    assert average.summary()["average"]["periods"] == [2, 3, 4]


def test_patience(config, tmp_path):
    settings = config(
        tmp_path / "run", patience=1, learning_rate=1e-30, epochs=9
    )
    with pytest.raises(Killed):
        run_training(settings, callbacks=[Kill(2)])
    result = run_training(settings, resume=True)
    assert len(without_clocks(tmp_path / "run")) == 2
    assert result.results["selection"]["epoch"] == 1


@pytest.mark.parametrize(
    "changes,words",
    [
        (
            {"swad_patience": 3, "average": "ema"},
            "--swad-patience is for --average swad, got --average ema",
        ),
        (
            {"sharpness_alpha": 0.1, "sharpness": "sam"},
            "--sharpness-alpha is for --sharpness sagm, got --sharpness sam",
        ),
        (
            {"sharpness_radius": 0.1},
            "--sharpness-radius is for --sharpness sam or sagm, got "
            "--sharpness none",
        ),
        (
            {"freeze_batch_norm": True},
            "--freeze-batch-norm keeps the statistics that weights come with",
        ),
        (
            {**SWAD, "epochs": 0, "method": "dica"},
            "--average swad needs steps to average",
        ),
    ],
)
def test_settings_that_would_do_nothing_are_refused(config, changes, words):
    with pytest.raises(UserError, match=words):
        config("unused", **changes).resolve("folder")
