import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.methods.by_domain import Seen
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch
from tests.methods.steps import assert_two_replicas_are_one

pytestmark = pytest.mark.usefixtures("with_stub")


def make(domains=("a", "b", "c"), **options):
    model = build_model("irm", "stub", 3, domains, image_size=16, **options)
    model.compile(OPTIMIZERS["sgd"](1e-2))
    return model


def slopes(logits, labels):
    """The derivative of each domain's cross entropy, in closed form: [D]."""
    probs = tf.nn.softmax(logits).numpy()
    own = np.take_along_axis(logits, labels[..., np.newaxis], -1)[..., 0]
    return ((probs * logits).sum(-1) - own).mean(1)


@pytest.mark.parametrize("soft", [False, True])
def test_slopes_are_those_of_the_closed_form(soft):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 5, 3)).astype(np.float32)
    labels = rng.integers(0, 3, (3, 5))
    given = np.eye(3, dtype=np.float32)[labels] if soft else labels
    seen = Seen(*map(tf.constant, (logits, logits, given, np.ones((3, 5)))))
    first, second = make().slopes(seen, Seen(*(x[:, 1:4] for x in seen)))
    np.testing.assert_allclose(first, slopes(logits, labels), rtol=1e-5)
    np.testing.assert_allclose(
        second, slopes(logits[:, 1:4], labels[:, 1:4]), rtol=1e-5
    )


@pytest.mark.parametrize("variant", ["domainbed", "authors"])
def test_the_weight_comes_after_some_steps(variant):
    model = make(irm_weight=50.0, irm_anneal_steps=10, irm_variant=variant)
    batch, scales = random_batch(batch=6, size=16), []
    for step in (9, 10):
        model.optimizer.iterations.assign(step)
        terms = model.objective(*batch).terms
        scales.append([float(weight) for weight, _ in terms.values()])
    if variant == "authors":
        assert scales == [[1, 1], pytest.approx([1 / 50, 1])]
        assert model.restarts_at is None
    else:
        assert scales == [[1, 1], [1, 50]]
        assert model.restarts_at == 10


def test_the_square_is_never_negative():
    """Of few images the product is, for some domains."""
    logits = np.random.default_rng(0).normal(size=(3, 4, 3))
    labels = np.random.default_rng(1).integers(0, 3, (3, 4))
    logits = logits.astype(np.float32)
    halves = [slopes(logits[:, i::2], labels[:, i::2]) for i in (0, 1)]
    assert (halves[0] * halves[1]).min() < 0
    values = []
    for variant in ("domainbed", "authors"):
        model = make(irm_variant=variant)
        seen = Seen(
            *map(tf.constant, (logits, logits, labels, np.ones((3, 4))))
        )
        model.seen = lambda *_, seen=seen: (Seen(*seen), seen)
        values.append(float(model.objective(None, None).terms["penalty"][1]))
    assert values == pytest.approx(
        [np.mean(halves[0] * halves[1]), np.mean(slopes(logits, labels) ** 2)],
        rel=1e-4,
    )


def test_a_domain_without_images_adds_nothing():
    inputs, labels = random_batch(batch=8, size=16)
    inputs["domain_ids"] = np.int32([0, 0, 1, 1, 0, 1, 0, 1])
    model = make(irm_anneal_steps=0)
    three = model.objective(inputs, labels)
    # Of eight images, three sources can have three each.
    some = {name: value[:6] for name, value in inputs.items()}
    two = make(("a", "b"), irm_anneal_steps=0).objective(some, labels[:6])
    assert float(three.terms["cross_entropy"][1]) == pytest.approx(
        float(two.terms["cross_entropy"][1]), rel=1e-5
    )
    model.train_step((inputs, labels))
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_halves_take_two_images():
    with pytest.raises(UserError, match="at least 2 images .* got 1: raise"):
        make().objective(*random_batch(batch=3, size=16))
    make(irm_variant="authors").objective(*random_batch(batch=3, size=16))


def test_two_replicas_take_the_step_of_one():
    """Three images of a source each: what is even is so in the whole."""
    assert_two_replicas_are_one(lambda: make(irm_anneal_steps=0), batch=18)
