"""Agreement of the masks: the score, and the words for it."""

import numpy as np
import pytest

from dmg_tf.demo.agreement import agreement_score, describe_agreement

NAMES = ("dog", "cat", "fish")
DOMAINS = ("photo", "sketch", "art")


@pytest.mark.parametrize(
    "probs, score",
    [
        ([[0.2, 0.8], [0.2, 0.8]], 1.0),
        ([[1, 0], [0, 1]], 0.0),
        # Pairs are 0.5, 0.5 and 1 apart.
        ([[1, 0], [0.5, 0.5], [0, 1]], 1 - 2 / 3),
    ],
)
def test_score(probs, score):
    assert agreement_score(np.array(probs)) == pytest.approx(score)


def said(*probs):
    return describe_agreement(np.array(probs), NAMES, DOMAINS)


def test_agree():
    found = said([0.9, 0.1, 0], [0.92, 0.08, 0], [0.9, 0.1, 0])
    assert found["level"] == "agree" and found["score"] > 0.98
    assert found["text"].startswith("All 3 masks say dog, with much the same")


def test_waver():
    found = said([0.9, 0.1, 0], [0.4, 0.3, 0.3], [0.9, 0.1, 0])
    assert found["level"] == "waver"
    assert (
        "say dog, but weigh the classes differently: it gets from 40 %"
        in (found["text"])
    )


def test_disagree():
    # Nearly equal probabilities, and yet another class.
    found = said([0.49, 0.51, 0], [0.51, 0.49, 0], [0.49, 0.51, 0])
    assert found["level"] == "disagree" and found["score"] > 0.98
    assert found["text"].startswith("photo and art say cat; sketch says dog. ")


def test_heads_are_called_so():
    probs = np.array([[1.0, 0], [0, 1.0]])
    found = describe_agreement(probs, NAMES[:2], DOMAINS[:2], "head")
    assert "Where the heads name different classes" in found["text"]
