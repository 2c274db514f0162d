"""Paired differences and Student's t."""

import types

import pytest

from dmg_tf.studies.evidence.paired import difference, t_quantile


# Tables of Student's t, as every textbook has them.
@pytest.mark.parametrize(
    "freedom,known",
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (19, 2.093), (60, 2.0)],
)
def test_quantiles_are_the_known_ones(freedom, known):
    assert t_quantile(freedom) == pytest.approx(known, abs=6e-4)


def test_other_quantiles():
    assert t_quantile(7, 0.95) == pytest.approx(1.895, abs=6e-4)


def run(target, seed, value):
    return types.SimpleNamespace(
        target=target, config={"seed": seed}, value=value
    )


def of(ours, theirs):
    return difference(ours, theirs, lambda r: r.value)


def test_pairs_are_of_one_target_and_seed():
    ours = [run("a", 0, 0.5), run("a", 1, 0.6), run("b", 0, 0.9)]
    theirs = [run("a", 1, 0.5), run("b", 0, 0.7), run("b", 1, 0.1)]
    found = of(ours, theirs)  # differences 0.1 and 0.2
    assert found.mean == pytest.approx(0.15) and found.count == 2
    # the standard error is 0.1 / 2, times t of one degree of freedom
    assert found.half == pytest.approx(0.05 * 12.7062, rel=1e-4)
    assert found.by_target == {"a": pytest.approx(0.1), "b": pytest.approx(0.2)}
    assert found.word == "not told from chance"
    assert found.text() == "+15.0 (-48.5 to +78.5)"


@pytest.mark.parametrize("sign,word", [(1, "better"), (-1, "worse")])
def test_what_is_told_from_chance(sign, word):
    theirs = [run("a", seed, 0.5) for seed in range(3)]
    ours = [run("a", s, 0.5 + sign * d) for s, d in enumerate((0.1, 0.11, 0.1))]
    assert of(ours, theirs).word == word


def test_one_pair_has_no_interval_and_none_no_difference():
    found = of([run("a", 0, 0.5)], [run("a", 0, 0.4)])
    assert found.half is None and found.text() == "+10.0"
    assert found.word == "of a single pair"
    assert of([run("a", 0, 0.5)], [run("a", 1, 0.4)]) is None
    assert of([run("a", 0, None)], [run("a", 0, 0.4)]) is None
