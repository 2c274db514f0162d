"""The words for how far the masks agree."""

import numpy as np

from dmg_tf.demo.wording import describe_agreement

NAMES = ("dog", "cat", "fish")
DOMAINS = ("photo", "sketch", "art")


def said(*probs):
    return describe_agreement(np.array(probs), NAMES, DOMAINS, "mask")


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
