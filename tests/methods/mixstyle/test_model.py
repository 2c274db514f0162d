import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.methods.mixstyle.mix import StyleMixer
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch
from tests.methods.steps import assert_two_replicas_are_one

pytestmark = pytest.mark.usefixtures("with_stub")


def make(backbone="stub", **options):
    model = build_model(
        "mixstyle", backbone, 3, ("a", "b", "c"), image_size=16, **options
    )
    model.compile(OPTIMIZERS["sgd"](1e-2), run_eagerly=True)
    return model


def mixers(model):
    return [x for x in model.feature_extractor.layers if type(x) is StyleMixer]


@pytest.mark.parametrize(
    "backbone,shapes",
    [
        # [side at 64 pixels, channels]
        ("resnet18", [(16, 64), (8, 128), (4, 256)]),
        ("alexnet", [(7, 64), (3, 192)]),
        ("efficientnet_lite0", [(16, 24), (8, 40), (4, 112)]),
    ],
)
def test_default_places(backbone, shapes):
    model = make(backbone)
    found = []
    for mixer in mixers(model):
        mixer.call = lambda x, **_: found.append(x.shape[2:]) or x
    images = np.random.default_rng(0).normal(size=(1, 64, 64, 3))
    model(np.float32(images))
    assert [tuple(shape) for shape in found] == shapes


def test_places_can_be_named():
    model = make(mixstyle_sites=("body",))
    (mixer,) = mixers(model)
    assert mixer.name == "mix_before_body"
    assert model.describe() == ("styles are mixed on the inputs of body",)
    # First weights and draws are those of the place by its own name.
    other = make(seed=1)
    assert mixers(other)[0].seed != mixer.seed


@pytest.mark.parametrize(
    "site,message",
    [
        ("bod", "Did you mean 'body'"),
        ("fc", "has no map on the input of 'fc'"),
    ],
)
def test_a_place_without_maps_is_refused(site, message):
    with pytest.raises(UserError, match=message):
        make(mixstyle_sites=(site,))


def test_without_mixing_the_step_is_the_pooled_one():
    data = random_batch(batch=6, size=16)
    plain = build_model("aggregate", "stub", 3, ("a", "b", "c"), image_size=16)
    plain.compile(OPTIMIZERS["sgd"](1e-2), run_eagerly=True)
    never, always = (make(mixstyle_probability=p) for p in (0.0, 1.0))
    for model in (plain, never, always):
        model.train_step(data)
    entries = plain.torchvision_entries()
    assert never.torchvision_entries().keys() == entries.keys()
    weights = [m.network_weights() for m in (plain, never, always)]
    for one, two in zip(*weights[:2], strict=True):
        np.testing.assert_allclose(one, two, atol=1e-7)
    moved = [np.abs(a - b).max() for a, b in zip(*weights[1:], strict=True)]
    assert max(moved) > 1e-4


def test_domains_are_needed_for_partners_of_others_alone():
    inputs, labels = random_batch(size=16)
    data = tf.data.Dataset.from_tensors((inputs["image"], labels))
    make().fit(data, verbose=0, shuffle=False)
    model = make(mixstyle_partners="crossdomain")
    with pytest.raises(UserError, match='"domain_ids": int'):
        model.fit(data, verbose=0, shuffle=False)
    assert model(inputs["image"]).shape == (6, 3)


@pytest.mark.parametrize("partners", ["random", "crossdomain"])
def test_two_replicas_take_the_step_of_one(partners):
    assert_two_replicas_are_one(
        lambda: make(mixstyle_partners=partners, mixstyle_probability=1.0)
    )
