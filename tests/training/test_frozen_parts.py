"""Runs of which a part is frozen: what learns, what is computed once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.config import RunConfig
from dmg_tf.data.streams.features import PLAIN
from dmg_tf.devices.devices import Devices
from dmg_tf.errors import UserError
from dmg_tf.evaluation.images import (
    RunImages,
    load_data,
    naming_bad_images,
)
from dmg_tf.experiment import make_model, run_training
from dmg_tf.methods.build import build_model
from dmg_tf.registry import BACKBONES, METHODS
from dmg_tf.runs.folder import load_run_model
from dmg_tf.training.first_weights.loaded import load_initial_weights
from tests.stubs import NORMED
from tests.training.runs import (
    Copy,
    assert_same,
    kept,
    short_run,
    without_clocks,
)

PARTS = ("task_network", "classifier")


@pytest.fixture(scope="module", autouse=True)
def with_normed_stub():
    with BACKBONES.with_name("stub", NORMED):
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file with weights for the stub."""
    model = build_model("aggregate", "stub", 3, ("a", "b"), image_size=32)
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("weights") / "stub.npz"
    entries = {}
    for name, (variable, axes) in model.torchvision_entries().items():
        shape = list(variable.shape)
        for here, there in enumerate(axes or ()):
            shape[there] = variable.shape[here]
        entries[name] = rng.uniform(0.1, 0.4, shape).astype(np.float32)
    np.savez(path, **entries)
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def config(tiny_folder, weights, cache, tmp_path):
    """Makes settings of a run with a frozen part."""

    def make(part="task_network", name="run", **changes):
        return short_run(
            tiny_folder,
            tmp_path / name,
            **{
                "weights": str(weights),
                "train": part,
                "cache": "none",
                "cache_dir": str(cache),
                **changes,
            },
        )

    return make


def resolved(config: RunConfig):
    config = config.resolve("folder")
    data = load_data(config)
    return config, data, make_model(config, data)


# === What learns ===


@pytest.mark.parametrize("part", PARTS)
def test_only_the_part_learns(config, weights, part):
    run = run_training(config(part, epochs=1))
    model = load_run_model(run.run_dir)
    assert model.trained == part
    fresh = build_model(
        "dmg", "stub", 3, ("a", "b"), image_size=32, trained=part
    )
    fresh.load_torchvision(dict(np.load(weights)))
    assert fresh.feature_extractor.weights
    pairs = zip(
        model.feature_extractor.weights,
        fresh.feature_extractor.weights,
        strict=True,
    )
    for trained, first in pairs:  # running statistics too
        np.testing.assert_array_equal(trained, first)
    pairs = zip(
        model.task_network.trainable_weights,
        fresh.task_network.trainable_weights,
        strict=True,
    )
    for trained, first in pairs:
        assert np.abs(trained.numpy() - first.numpy()).max() > 1e-4
    sites = {"task_network": ["body", "fc"], "classifier": ["fc"]}[part]
    assert list(model.domain_masks) == sites
    assert not model.trainable_weights[0].path.startswith("feature_extractor")


def test_a_step_on_features_is_one_on_images(config):
    """But for 16-bit rounding of what the frozen part gives."""
    settings, data, model = resolved(config(method="aggregate"))
    images = RunImages(settings, data, model)
    images.fill_cache()
    features = images._features
    labels = tf.constant(data.validation.labels)
    plain = next(iter(images._plain(data.validation)))[0]
    stored = next(iter(images.validation()))[0]
    assert stored["image"].shape[1:] == features.shape
    given = model.features(plain["image"])
    np.testing.assert_allclose(stored["image"], given, rtol=1e-3, atol=1e-6)
    gradients = []
    for inputs in (plain, {**stored, "image": given}):
        with tf.GradientTape() as tape:
            loss = model.objective(inputs, labels).loss
        gradients.append(tape.gradient(loss, model.trainable_variables))
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_every_method_that_may_learns_on_features(config):
    able = [name for name in METHODS.names() if METHODS[name].on_features]
    assert {"aggregate", "dmg", "multi_headed", "mldg", "coral"} <= set(able)
    kinds = {}
    for method in able:
        settings, data, model = resolved(config(method=method))
        begin = model.task_network.stages[0].name
        kind = settings.sampling, settings.by_domain, begin
        if kind not in kinds:
            images = RunImages(settings, data, model)
            images.fill_cache()
            with Devices("one") as devices:
                stream = images.training(devices)
            kinds[kind] = next(iter(stream.dataset()))
        inputs, labels = kinds[kind]
        model.total_steps = 1
        rate = 0.05
        model.compile(keras.optimizers.SGD(rate))
        model.use_optimizers(
            {name: keras.optimizers.SGD(rate) for name in model.trained_apart()}
        )
        before = [w.numpy() for w in model.feature_extractor.weights]
        logs = model.train_step((inputs, labels))
        assert np.isfinite(float(logs["loss"])), method
        after = [w.numpy() for w in model.feature_extractor.weights]
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)


# === Runs ===


def test_a_resumed_run_ends_as_an_unbroken_one(config):
    settings = config("task_network", "whole", average="swad", mix="mixup")
    broken = settings.replace(output=f"{settings.output}-broken")
    copy = Copy(settings.output, broken.output, after=1)
    whole = run_training(settings, callbacks=[copy])
    again = run_training(broken, resume=True)
    assert_same(kept(again.run_dir), kept(whole.run_dir))
    assert without_clocks(again.run_dir) == without_clocks(whole.run_dir)


def test_runs_share_what_is_kept(config, cache):
    def filled(**changes):
        settings, data, model = resolved(config(**{"views": 3, **changes}))
        load_initial_weights(model, settings)
        RunImages(settings, data, model).fill_cache()
        return {p: p.stat().st_mtime_ns for p in cache.rglob("??/*")}

    files = filled()
    for same in ({"method": "aggregate"}, {"learning_rate": 1}, {"views": 2}):
        assert filled(**same) == files
    # Another seed has 6 other images to validate on, and these to learn from.
    now = filled(seed=1)
    assert files.items() <= now.items()
    assert 0 < len(now) - len(files) <= 6 * 4
    later = filled(seed=1, augment="none")
    assert len(later) > len(now)


def test_epochs_take_different_views(config):
    settings, data, model = resolved(config(views=3))
    images = RunImages(settings, data, model)
    images.fill_cache()
    with Devices("one") as devices:
        stream = images.training(devices)
    views = np.asarray(
        [
            [
                int(stream.view_at(tf.constant(e, tf.int64), epoch))
                for epoch in range(8)
            ]
            for e in range(12)
        ]
    )
    assert set(views.ravel()) == {1, 2, 3} and PLAIN == 0
    assert all(len(set(row)) > 1 for row in views)
    load = stream.loader()
    position = tf.constant(5, tf.int64)
    shown = stream.image_loader()(position)[0]["image"][tf.newaxis]
    np.testing.assert_allclose(
        load(position)[0]["image"],
        model.features(shown)[0],
        rtol=1e-3,
        atol=1e-4,
    )


def test_a_kept_feature_that_is_damaged_is_computed_anew(config, tmp_path):
    settings, data, model = resolved(config(views=1, cache_dir=str(tmp_path)))
    images = RunImages(settings, data, model)
    images.fill_cache()
    with Devices("one") as devices:
        stream = images.training(devices)
    files = [p for p in (tmp_path / "features").rglob("??/*")]
    whole = {path: path.read_bytes() for path in files}
    for path in files:
        path.write_bytes(bytes(len(whole[path])))
    with pytest.raises(UserError, match="is damaged, and was removed"):
        with naming_bad_images(data.train.paths):
            next(iter(stream.dataset()))
    for path in files:
        path.write_bytes(whole[path][:-1])
    images.fill_cache()
    assert {path: path.read_bytes() for path in files} == whole


def test_the_target_can_be_tracked(config):
    settings, data, model = resolved(config(track_target=True))
    images = RunImages(settings, data, model)
    images.fill_cache()
    tracked = list(images.tracked_target())
    assert tracked[0][0]["image"].shape[1:] == images._features.shape
    assert sum(len(labels) for _, labels in tracked) == len(data.out_of_domain)
    shown = next(iter(images.target()))[0]["image"]
    assert shown.shape[1:] == (32, 32, 3)


# === What can't be ===


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"weights": "none"}, "--train task_network keeps the rest"),
        ({"method": "mixup"}, "--method mixup changes images or early layers"),
        ({"train": "all", "views": 3}, "--views is for --train task_network"),
        ({"data_service": "localhost:1"}, "leave --data-service out"),
        ({"mix": "cutmix"}, "--mix cutmix puts .* use --mix mixup, or --train"),
    ],
)
def test_what_cannot_be(config, changes, words):
    with pytest.raises(UserError, match=words):
        part = changes.pop("train", "task_network")
        config(part, **changes).resolve("folder")


def test_masks_before_what_learns(config):
    with pytest.raises(UserError, match="task network of stub is fc, got body"):
        run_training(config("classifier").replace(mask_sites=("body", "fc")))


def test_features_need_room(config, monkeypatch):
    settings, data, model = resolved(config(views=7))
    images = RunImages(settings, data, model)
    monkeypatch.setattr(images._features._files, "free", lambda: 1e4)
    with pytest.raises(UserError, match="features would take .* fewer --views"):
        images.fill_cache()
