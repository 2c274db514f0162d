"""A checkpoint holds all that the next step of any method depends on."""

import types

import numpy as np
import pytest

from dmg_tf.folders.checksums import Checksums
from dmg_tf.methods.build import build_model
from dmg_tf.registry import BACKBONES, METHODS
from dmg_tf.training.checkpoint import Checkpoint
from dmg_tf.training.optimizers import Adam
from tests.helpers import random_batch
from tests.stubs import NORMED

DOMAINS = ("a", "b", "c")
# What a step does otherwise than by default, where that has more to keep.
VARIANTS = (
    *((method, {}) for method in METHODS.names()),
    ("aggregate", {"site_dropout": 0.4}),
    ("dann", {"dann_update": "alternating"}),
    ("dmg", {"domain_classifier": True}),
    ("dmg", {"shared_mask": True}),
    ("irm", {"irm_anneal_steps": 1}),
    ("sagnet", {"sagnet_form": "domainbed"}),
    ("vrex", {"vrex_anneal_steps": 1}),
)


def make(method, options):
    with BACKBONES.with_name("normed", NORMED):
        model = build_model(
            method, "normed", 4, DOMAINS, image_size=32, **options
        )
    model.total_steps = 10
    model.compile(optimizer_of(model, "main"))
    model.use_optimizers(
        {name: optimizer_of(model, name) for name in model.trained_apart()}
    )
    for name, optimizer in model.optimizers.items():
        optimizer.build(model.trained_by(name))
    return model


def optimizer_of(model, name):
    rates = [model.rate_of(v, 0.01) for v in model.trained_by(name)]
    return Adam(0.01, l2=1e-4, rates=rates)


def step(model, number):
    model.train_step(random_batch(batch=12, classes=4, seed=number))


def state(model):
    return [v.numpy() for v in (*model.variables, *optimizer_state(model))]


def optimizer_state(model):
    return [v for o in model.optimizers.values() for v in o.variables]


@pytest.mark.parametrize("method,options", VARIANTS)
def test_steps_go_on_as_if_unbroken(with_stub, tmp_path, method, options):
    folder = types.SimpleNamespace(
        work=tmp_path,
        checkpoint=tmp_path / "checkpoint",
        checksums=Checksums(tmp_path),
    )
    folder.checkpoint.mkdir()
    first = make(method, options)
    step(first, 0)
    Checkpoint(first, folder).save(1)
    step(first, 1)
    again = make(method, options)
    assert Checkpoint(again, folder).restore() == 1
    step(again, 1)
    expected, found = state(first), state(again)
    assert len(expected) == len(found)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_what_is_not_restored_is_seen(with_stub):
    first, again = make("dmg", {}), make("dmg", {})
    step(first, 0)
    step(first, 1)
    step(again, 1)
    assert any(
        not np.array_equal(mine, theirs)
        for mine, theirs in zip(state(first), state(again), strict=True)
    )
