"""The words for how far the masks agree."""

import numpy as np

from dmg_tf.demo.wording import describe_agreement

NAMES = ("dog", "cat", "fish")
DOMAINS = ("photo", "sketch", "art")


VOTES = {
    "in_domain": {
        "same": {"images": 200, "right": 150},
        "different": {"images": 40, "right": 10},
    },
    "out_of_domain": {
        "same": {"images": 1000, "right": 300},
        "different": {"images": 9, "right": 9},
    },
}


def said(*probs, **known):
    return describe_agreement(np.array(probs), NAMES, DOMAINS, "mask", **known)


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


def test_unsure():
    # Nearly equal probabilities, and yet another class: no alarm.
    found = said([0.49, 0.51, 0], [0.51, 0.49, 0], [0.49, 0.51, 0])
    assert found["level"] == "unsure" and found["score"] > 0.98
    assert found["title"] == "Unsure between cat and dog"
    assert found["text"].endswith(
        "clearly ahead: photo and art say cat; sketch says dog."
    )


def test_disagree():
    found = said([0.1, 0.9, 0], [0.9, 0.1, 0], [0.1, 0.9, 0])
    assert found["level"] == "disagree"
    assert found["title"] == "The masks name different classes"
    assert found["text"] == "Photo and art say cat; sketch says dog."


def test_rates_are_those_of_the_model():
    alike = [[0.9, 0.1, 0]] * 3
    found = said(*alike, votes=VOTES, targets=["sketch"])["text"]
    assert found.endswith(
        "Of pictures whose masks name one class, this model had right: 75 % of "
        "200 of its sources that it did not learn from; 30 % of 1,000 of "
        "sketch, never seen."
    )
    # Of nine pictures nothing is said, nor where nothing is known.
    apart = [[0.1, 0.9, 0], [0.9, 0.1, 0], [0.1, 0.9, 0]]
    found = said(*apart, votes=VOTES, targets=["sketch"])["text"]
    assert found.endswith(
        "name different ones, this model had right: 25 % of 40 of its sources "
        "that it did not learn from."
    )
    assert "had right" not in said(*apart)["text"]
    assert "never seen" not in said(*alike, votes=VOTES)["text"]


def test_heads_are_called_so():
    probs = np.array([[1.0, 0], [0, 1.0]])
    found = describe_agreement(probs, NAMES[:2], DOMAINS[:2], "head")
    assert found["title"] == "The heads name different classes"
