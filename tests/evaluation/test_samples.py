import numpy as np
import pytest

from dmg_tf.evaluation.samples import choose
from dmg_tf.rules import domain_rules, rule_of_name
from dmg_tf.runs.predictions import Predictions

LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 2])
SAID = np.array([1, 1, 1, 0, 1, 0, 2, 2])
PRED_ENS = rule_of_name("pred_ens")
MASKS = domain_rules("mask", "abc")
SURE = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.4, 0.2])


@pytest.fixture
def predictions():
    masks = {
        "mask/a": np.array([1, 1, 1, 0, 1, 0, 2, 2]),
        "mask/b": np.array([1, 1, 1, 0, 2, 0, 0, 2]),
        "mask/c": np.array([1, 1, 1, 0, 0, 0, 2, 2]),
    }
    predicted = {"pred_ens": SAID, **masks}
    return Predictions(
        predicted, LABELS, np.full(8, -1), dict.fromkeys(predicted, SURE)
    )


def test_the_surest_errors_few_of_a_class(predictions):
    groups = choose(predictions, PRED_ENS, count=3)
    assert groups[0].title == "Wrong, and most sure of it"
    # 2 is surer than 5, but the third of its class
    assert groups[0].indices.tolist() == [0, 1, 5] and groups[0].total == 4
    assert choose(predictions, PRED_ENS, count=4)[0].indices.tolist() == [
        *(0, 1, 5, 2)
    ]


def test_masks_that_disagree_most_come_first(predictions):
    group = choose(predictions, PRED_ENS, MASKS, count=3)[1]
    assert "masks disagree" in group.title
    assert group.indices.tolist() == [4, 6] and group.total == 2


def test_random_ones_depend_on_the_seed_alone(predictions):

    def chosen(seed):
        groups = choose(predictions, PRED_ENS, MASKS, seed, count=2)
        return [group.indices.tolist() for group in groups]

    assert chosen(3) == chosen(3)
    assert len({str(chosen(seed)) for seed in range(9)}) > 1
    everything = sum(chosen(3), [])
    assert len(everything) == len(set(everything))  # no image twice
    right = chosen(3)[-1]
    assert (SAID[right] == LABELS[right]).all()


def test_no_empty_groups(predictions):
    perfect = Predictions(
        {"pred_ens": LABELS}, LABELS, np.full(8, -1), {"pred_ens": SURE}
    )
    assert [g.title for g in choose(perfect, PRED_ENS)] == ["Right"]
