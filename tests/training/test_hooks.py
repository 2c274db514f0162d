"""What a method asks for around its steps is done, resumed and kept."""

import contextlib
import io
import json

import keras
import numpy as np
import pytest

from dmg_tf.errors import UserError
from dmg_tf.evaluation.images import RunImages, images_of_run
from dmg_tf.experiment import run_training
from dmg_tf.methods.build import build_model
from dmg_tf.registry import METHODS
from dmg_tf.runs.folder import load_run_model
from dmg_tf.runs.history import read_history
from tests.devices.workers import last_weights
from tests.training.runs import (
    EPOCHS,
    Copy,
    assert_same,
    kept,
    short_run,
    without_clocks,
)
from tests.training.toy_methods import NAMES, Ridge

# By the methods that have them: the toy, and one with two optimisers and a
# schedule.
CHANGES = {
    "all_hooks": {},
    "dann": {"options": {"dann_update": "alternating", "dann_rate_ratio": 10}},
}


@pytest.fixture(scope="module", autouse=True)
def known(with_stub):
    """Registers the methods."""
    with pytest.MonkeyPatch.context() as patch:
        for name, place in NAMES.items():
            patch.setitem(METHODS._paths, name, place)
        yield


@pytest.fixture(scope="module")
def config(tiny_folder):
    """Returns the settings of a short run."""

    def make(method, output, **changes):
        changes = {**CHANGES.get(method, {}), **changes}
        return short_run(tiny_folder, output, method=method, **changes)

    return make


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """Returns the result of an unbroken run, trained once.

    Beside its folder are what it was after two epochs, `broken`, and what it
    said, `said`.
    """
    results = {}

    def train(method):
        if method not in results:
            root = tmp_path_factory.mktemp(method)
            output = root / "run"
            copy = Copy(output, root / "broken", after=2)
            with contextlib.redirect_stderr(io.StringIO()) as said:
                results[method] = run_training(
                    config(method, output), callbacks=[copy]
                )
            (root / "said").write_text(said.getvalue(), "utf-8")
        return results[method]

    return train


@pytest.mark.parametrize("method", CHANGES)
def test_a_resumed_run_ends_as_an_unbroken_one(config, whole, method):
    expected = whole(method)
    broken = expected.run_dir.parent / "broken"
    assert len(without_clocks(broken)) == 2
    assert not (broken / "results.json").exists()
    # A method that selects the last keeps no best.
    assert (broken / "model.keras").exists() == (method != "all_hooks")
    result = run_training(config(method, broken), resume=True)
    assert_same(last_weights(broken), last_weights(expected.run_dir))
    assert_same(kept(broken), kept(expected.run_dir))
    assert without_clocks(broken) == without_clocks(expected.run_dir)
    for part in ("selection", "in_domain", "out_of_domain"):
        assert result.results[part] == expected.results[part]
    if method == "all_hooks":  # validations so far are told again
        assert result.model.seen == expected.model.seen


@pytest.mark.parametrize("method", CHANGES)
def test_the_kept_model_is_the_scored_one(whole, method):
    result = whole(method)
    loaded = load_run_model(result.run_dir)
    images = np.random.default_rng(0).normal(size=(5, 32, 32, 3))
    images = images.astype(np.float32)
    np.testing.assert_allclose(
        loaded.logits(images), result.model.logits(images), atol=1e-6
    )
    selected = result.results["selection"]
    in_domain = result.results["in_domain"][selected["rule"]]
    # A folder has no test images: both are of its validation images.
    assert in_domain["overall"] == selected["value"]


@pytest.mark.parametrize("method", CHANGES)
def test_two_devices(config, whole, tmp_path, method, capsys):
    changes = {"strategy": "mirrored", "batch_size": 16}
    result = run_training(config(method, tmp_path / "run", **changes))
    said = capsys.readouterr().err
    assert "2 devices share each batch of 16" in said
    columns = read_history(tmp_path / "run/history.csv")[0].keys()
    one = read_history(whole(method).run_dir / "history.csv")[0].keys()
    assert columns == one
    for variable in result.model.variables:
        copies = result.model.distribute_strategy.experimental_local_results(
            variable.value
        )
        for copy in copies[1:]:
            np.testing.assert_array_equal(copies[0], copy, variable.path)


def test_batches_by_domain_are_cut(whole):
    result = whole("all_hooks")
    said = (result.run_dir.parent / "said").read_text("utf-8")
    # 15 is no multiple of two sources
    assert "14 images a batch, 7 of each source" in said
    assert "spread of the losses " in said and "worst " in said
    assert result.results["config"]["sampling"] == "balanced"
    rows = without_clocks(result.run_dir)
    for row in rows:
        loss = row["cross_entropy"] + row["spread"]
        assert row["loss"] == pytest.approx(loss, abs=1e-4)
        assert row["worst"] > row["cross_entropy"]


@pytest.fixture(scope="module")
def ended(config, tmp_path_factory):
    """A run in 16 bits that a callback ends, and what the callback saw."""

    class Collect(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1
            rows.append(dict(logs))

    rows, output = [], tmp_path_factory.mktemp("ended") / "run"
    settings = config("dann", output, precision="mixed_float16")
    return run_training(settings, callbacks=[Collect()]), rows


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_each_group_has_an_optimizer(whole, ended, precision):
    scaled, epochs = precision == "mixed_float16", EPOCHS
    result = whole("dann")
    if scaled:
        result, epochs = ended[0], 2
    main, apart = result.model.optimizers.values()
    assert type(main) is type(apart)
    assert isinstance(main, keras.optimizers.LossScaleOptimizer) == scaled
    if scaled:
        main, apart = main.inner_optimizer, apart.inner_optimizer
    # In 16 bits a step that overflows is left out.
    for optimizer in (main, apart):
        assert epochs * 4 - scaled <= int(optimizer.iterations) <= epochs * 4
    assert set(apart.rates) == {10.0} and set(main.rates) == {1.0}
    assert apart.l2 == main.l2 == 1e-5
    names = last_weights(result.run_dir)
    assert any(n.startswith("optimizers/discriminator/") for n in names)
    if not scaled:
        fresh = build_model("dann", "stub", 3, ("a", "b"), image_size=32)
        for start, weight in zip(
            fresh.discriminator.weights,
            result.model.discriminator.weights,
            strict=True,
        ):
            moved = np.abs(weight.numpy() - start.numpy())
            assert moved.mean() > 1e-4


def test_the_checkpoint_of_one_optimizer_has_no_more(whole):
    names = last_weights(whole("all_hooks").run_dir)
    assert not any(name.startswith("optimizers") for name in names)


def test_callbacks_see_the_scores(ended):
    result, rows = ended
    assert rows == read_history(result.run_dir / "history.csv")
    assert len(rows) == 2
    results = json.loads((result.run_dir / "results.json").read_text())
    assert results == result.results


@pytest.fixture(scope="module")
def closed(config, tmp_path_factory):
    """A run without a step, and what could be seen where it was fitted."""
    fit, seen = Ridge.before_validation, []

    def look(self, images):
        for split in ("train", "validation"):
            found = [list(images.features(split)) for _ in range(2)]
            seen.append((split, *found))
        with pytest.raises(KeyError):
            images.batches("out_of_domain")
        fit(self, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ridge, "before_validation", look)
        output = tmp_path_factory.mktemp("closed") / "run"
        return run_training(config("ridge", output, epochs=0)), seen


def test_a_closed_form_takes_no_step(closed, config, tmp_path):
    result, run_dir = closed[0], closed[0].run_dir
    results = result.results
    assert results["selection"]["epoch"] == 0
    assert int(result.model.optimizer.iterations) == 0
    # The images' colour is their class: fitted features tell it.
    assert results["in_domain"]["pred_ens"]["overall"] > 0.8
    (row,) = read_history(run_dir / "history.csv")
    assert row["epoch"] == 0
    assert row["validation_overall"] == results["selection"]["value"]
    assert (run_dir / "report.html").exists()
    # A longer run begins anew, as the one without steps left no checkpoint.
    longer = config("ridge", run_dir, epochs=1)
    result = run_training(longer, resume=True)
    assert result.results["selection"]["epoch"] == 1
    # Else the last layer would have been trained since it was fitted.
    config_of_run, data = images_of_run(result.results)
    model = load_run_model(result.run_dir)
    before = [w.numpy() for w in model.network_weights("task_network")]
    model.before_validation(RunImages(config_of_run, data, model).sources)
    after = model.network_weights("task_network")
    for first, second in zip(before, after, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-4)
    with pytest.raises(UserError, match="--epochs must be at least 1, got 0"):
        run_training(config("aggregate", tmp_path / "other", epochs=0))


def test_the_sources_have_no_target(closed):
    sizes = {}
    for split, found, again in closed[1]:
        hidden, labels, ids = (
            np.concatenate(x) for x in zip(*found, strict=True)
        )
        assert hidden.shape == (len(labels), 8)
        assert hidden.dtype == np.float32
        assert set(ids) == {0, 1}
        np.testing.assert_array_equal(found[0][0], again[0][0])
        sizes[split] = len(labels)
    assert len(closed[1]) == 2
    assert sizes == {"train": 66, "validation": 6}


def test_averages_are_scored_kept_and_finished(whole):
    result = whole("all_hooks")
    trained = last_weights(result.run_dir)
    model = load_run_model(result.run_dir)
    # Two of three epochs come after the first validation.
    assert float(model.counted) == 2 * 4
    weights = model.network_weights()
    averages = model.averages()
    # But for the last layer, which is fitted on them.
    for weight, average in zip(weights[:-2], averages[:-2], strict=True):
        np.testing.assert_array_equal(weight, average)
        same = [
            np.array_equal(weight, value)
            for name, value in trained.items()
            if value.shape == weight.shape
        ]
        assert not all(same)
    assert np.abs(weights[-2] - averages[-2]).max() > 0.1
    assert result.model.finished_on == 66
    assert len(result.model.seen) == EPOCHS
    assert result.results["selection"]["epoch"] == EPOCHS


def test_progress_is_that_of_the_run(config, whole):
    result = whole("dann")
    strengths = [row["reversal"] for row in without_clocks(result.run_dir)]
    shares = np.arange(12).reshape(3, 4) / 12  # of twelve steps
    expected = (2 / (1 + np.exp(-10 * shares)) - 1).mean(axis=1)
    assert strengths == pytest.approx(list(expected), abs=1e-5)
    longer = config("dann", result.run_dir, epochs=EPOCHS + 1)
    with pytest.raises(UserError, match="--epochs was 3, is 4"):
        run_training(longer, resume=True)
