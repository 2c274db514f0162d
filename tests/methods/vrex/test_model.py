import numpy as np
import pytest

from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.helpers import random_batch
from tests.methods.steps import assert_two_replicas_are_one

pytestmark = pytest.mark.usefixtures("with_stub")


def make(domains=("a", "b", "c"), **options):
    model = build_model("vrex", "stub", 3, domains, image_size=16, **options)
    model.compile(OPTIMIZERS["sgd"](1e-2))
    return model


def test_the_weight_comes_after_some_steps():
    model = make(vrex_weight=30.0, vrex_anneal_steps=10)
    weights = []
    for step in (0, 9, 10, 39):
        model.optimizer.iterations.assign(step)
        weights.append(float(model.penalty_weight))
    assert weights == [1, 1, 30, 30]
    assert model.restarts_at == 10
    assert make(vrex_anneal_steps=0).restarts_at is None


def test_a_run_that_is_too_short_says_so():
    model = make()
    assert model.describe() == ()  # nobody knows
    model.total_steps = 501
    assert model.describe() == ()
    model.total_steps = 500
    (line,) = model.describe()
    assert line.endswith("it is 10 after 500 steps, and the run has 500")


def test_losses_by_source_are_reported():
    logs = make().train_step(random_batch(batch=6, size=16))
    risks = np.array([logs[f"risk_{d}"] for d in "abc"])
    assert len(set(risks)) == 3
    assert float(logs["cross_entropy"]) == pytest.approx(risks.mean())
    assert float(logs["variance"]) == pytest.approx(risks.var(), rel=1e-4)


def test_a_domain_without_images_adds_nothing():
    inputs, labels = random_batch(batch=6, size=16)
    inputs["domain_ids"] = np.int32([0, 0, 1, 1, 0, 1])
    three = make().objective(inputs, labels)
    # Of six images, three sources can have two each.
    some = {name: value[:4] for name, value in inputs.items()}
    two = make(("a", "b")).objective(some, labels[:4])
    for name in ("cross_entropy", "variance"):
        assert float(three.terms[name][1]) == pytest.approx(
            float(two.terms[name][1]), rel=1e-5
        )


def test_one_source_has_no_variance():
    with pytest.raises(UserError, match="VREx makes .* at least 2, got 1"):
        make(("a",))


def test_two_replicas_take_the_step_of_one():
    assert_two_replicas_are_one(
        lambda: make(vrex_weight=100.0, vrex_anneal_steps=0)
    )
