import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.evaluation.scoring import dtype_policy
from dmg_tf.methods.build import build_model
from dmg_tf.methods.sagnet.randomise import (
    with_mixed_style,
    with_other_content,
)
from dmg_tf.registry import BACKBONES
from dmg_tf.training.optimizers import OPTIMIZERS, Adam
from tests.helpers import random_batch
from tests.methods.steps import assert_two_replicas_are_one
from tests.stubs import NORMED

DOMAINS = ("a", "b", "c")
FORMS = ("authors", "domainbed")


@pytest.fixture(scope="module", autouse=True)
def known(forgotten, with_stub):
    """Knows the backbones."""
    with BACKBONES.with_name("normed", NORMED):
        yield


def make(backbone="stub", optimizer="sgd", **options):
    model = build_model(
        "sagnet", backbone, 3, DOMAINS, image_size=16, **options
    )
    kinds = [OPTIMIZERS[optimizer](1e-2) for _ in range(2)]
    model.compile(kinds[0], run_eagerly=True)
    if model.trained_apart():
        model.use_optimizers({"style": kinds[1]})
        kinds[1].build(model.trained_by("style"))
        kinds[0].build(model.trained_by("main"))
    return model


def moved(model, data):
    """Returns the paths of what a step moves."""
    before = {v.path: v.numpy() for v in model.trainable_variables}
    model.train_step(data)
    return {
        v.path
        for v in model.trainable_variables
        if not np.array_equal(v, before[v.path])
    }


def paths(variables):
    return {v.path for v in variables}


@pytest.mark.parametrize("shape", [(5, 3, 4, 2), (5, 12)])
def test_styles_are_mixed_and_content_is_another_s(shape):
    x = np.random.default_rng(0).normal(1, 2, shape)
    axes = (1, 2) if len(shape) == 4 else 1
    partners, shares = [3, 0, 1, 4, 2], np.float32([0, 0.25, 0.5, 0.75, 1])

    def apart(x):
        mean = np.mean(x, axes, keepdims=True)
        variance = np.var(x, axes, ddof=1, keepdims=True)
        return mean, variance, (x - mean) / np.sqrt(variance + 1e-5)

    mean, variance, plain = apart(x)
    share = shares.reshape(-1, *[1] * (len(shape) - 1))
    mixed = with_mixed_style(tf.constant(x), partners, shares)
    expected = plain * np.sqrt(
        share * variance + (1 - share) * variance[partners] + 1e-5
    ) + (share * mean + (1 - share) * mean[partners])
    np.testing.assert_allclose(mixed, expected, atol=1e-5)
    other = with_other_content(tf.constant(x), partners)
    expected = plain[partners] * np.sqrt(variance + 1e-5) + mean
    np.testing.assert_allclose(other, expected, atol=1e-5)


@pytest.mark.parametrize(
    "backbone,split", [("resnet18", "layer3"), ("stub", "body")]
)
def test_the_split_is_the_authors(backbone, split):
    model = make(backbone)
    assert model.task_network.stages[0].name == split
    names = [stage.name for stage in model.task_network.stages]
    assert [s.name for s in model.style_network.stages] == names
    domainbed = make(backbone, sagnet_form="domainbed")
    assert len(domainbed.task_network.stages) == 1


def test_another_split_and_an_unknown_one():
    model = make("resnet18", sagnet_split="layer2.1")
    assert [s.name for s in model.feature_extractor.layers][1:] == [
        *("layer1", "layer2")
    ]
    with pytest.raises(UserError, match="Did you mean 'body'"):
        make(sagnet_split="bod")


def test_the_style_network_is_for_training_alone():
    model = make("normed")
    own = {id(v) for v in model.style_network.variables}
    served = [v for part in model.inference_layers() for v in part.variables]
    assert own and not own & {id(v) for v in served}
    assert not {p for p in paths(model.style_network.variables)} & paths(served)
    plain = build_model("aggregate", "normed", 3, DOMAINS, seed=7)
    entries = plain.torchvision_entries()
    assert model.torchvision_entries().keys() == entries.keys()
    # It starts by itself, or from the file as the network does.
    assert not np.array_equal(
        model.style_network.stages[-1].kernel,
        model.task_network.stages[-1].kernel,
    )
    model.load_torchvision(
        {
            name: variable.numpy().transpose(np.argsort(axes))
            for name, (variable, axes) in entries.items()
        }
    )
    style = model.style_entries()
    assert len(style) == len(entries) - 6  # without the stem
    for name, (variable, _) in style.items():
        np.testing.assert_array_equal(variable, entries[name][0])


@pytest.mark.parametrize("backbone", ["stub", "normed"])
def test_the_adversary_trains_scales_or_else_all_before_the_split(backbone):
    inputs, labels = random_batch(batch=6, size=16)
    model = make(backbone)
    with tf.GradientTape() as tape:
        _, value = model.objective(inputs, labels).terms["adversary"]
    found = tape.gradient(value, model.trainable_variables)
    reached = [
        v.path
        for v, g in zip(model.trainable_variables, found, strict=True)
        if g is not None and np.any(g)
    ]
    early = paths(model.feature_extractor.trainable_variables)
    if backbone == "normed":
        early = {p for p in early if p.endswith(("/gamma", "/beta"))}
        assert len(early) == 2
    assert set(reached) == early


def test_style_trains_its_network_alone():
    inputs, labels = random_batch(batch=6, size=16)
    model = make("normed")
    with tf.GradientTape() as tape:
        _, value = model.objective(inputs, labels).terms["style_loss"]
    found = tape.gradient(value, model.trainable_variables)
    reached = {
        v.path
        for v, g in zip(model.trainable_variables, found, strict=True)
        if g is not None
    }
    assert reached == paths(model.style_network.trainable_variables)


def test_the_adversary_s_gradient_is_clipped_as_a_whole():
    data = random_batch(batch=6, size=16)
    lengths = {}
    for clip in (1e-6, 1e6):
        model = make(sagnet_clip=clip, sagnet_weight=100.0)
        seen = []
        plain = model.clipped
        model.clipped = lambda g, plain=plain, seen=seen: (
            seen.append((g, plain(g))) or seen[-1][1]
        )
        model.train_step(data)
        ((before, after),) = seen
        lengths[clip] = [float(tf.linalg.global_norm(x)) for x in seen[0]]
        before, after = (
            np.concatenate([np.ravel(g) for g in x]) for x in (before, after)
        )
        ratio = after[before != 0] / before[before != 0]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    assert lengths[1e-6][1] == pytest.approx(1e-6, rel=1e-4)
    assert lengths[1e6][0] == lengths[1e6][1] > 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_a_step_moves_everything_and_statistics_once(form):
    data = random_batch(batch=6, size=16)
    model = make("normed", sagnet_form=form)
    norm = next(
        layer
        for layer in model.feature_extractor.layers[0].layers
        if layer.name == "stem.norm"
    )
    images = data[0]["image"]
    maps = model.feature_extractor.layers[0].get_layer("stem.conv")(images)
    mean = np.mean(maps, (0, 1, 2))
    assert moved(model, data) == paths(model.trainable_variables)
    np.testing.assert_allclose(norm.moving_mean, 0.1 * mean, atol=1e-5)
    assert int(model.optimizer.iterations) == 1


def test_domainbed_s_optimisers_go_on_in_half_precision():
    with dtype_policy("mixed_float16"):
        model = make("normed", sagnet_form="domainbed")
        scaled = [
            keras.mixed_precision.LossScaleOptimizer(Adam(1e-2), 2.0**10)
            for _ in range(2)
        ]
        model.compile(scaled[0], run_eagerly=True)
        model.use_optimizers({"style": scaled[1]})
        scaled[0].build(model.trained_by("main"))
        scaled[1].build(model.trained_by("style"))
    for _ in range(2):
        model.train_step(random_batch(batch=6, size=16))
    counts = [int(x.inner_optimizer.iterations) for x in scaled]
    assert counts == [2, 2]


def test_half_precision_has_the_same_adversary():
    """Its gradient is scaled on its way, too: some would be zero."""
    data = random_batch(batch=6, size=16)
    found = []
    for policy in ("float32", "mixed_float16"):
        with dtype_policy(policy):
            model = make("normed", sagnet_weight=1e-5)
            optimizer = keras.mixed_precision.LossScaleOptimizer(
                Adam(1e-2), 2.0**15
            )
            model.compile(optimizer, run_eagerly=True)
            optimizer.build(model.trained_by("main"))
        model.clipped = lambda g: found.append([np.array(x) for x in g]) or g
        model.train_step(data)
    for one, two in zip(*found, strict=True):
        assert np.any(two)
        np.testing.assert_allclose(two, one, atol=0.3 * np.abs(one).max())


@pytest.mark.parametrize("form", FORMS)
def test_two_replicas_take_the_step_of_one(form):
    # Clipped: the norm is that of all replicas' gradient.
    assert_two_replicas_are_one(
        lambda: make(sagnet_form=form, sagnet_clip=1e-4)
    )
