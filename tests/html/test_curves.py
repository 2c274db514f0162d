import re

import numpy as np
import pytest

from dmg_tf.html.curves import Curve, chart, epoch_ticks, nice_ticks


@pytest.mark.parametrize(
    "low,high",
    [(0.1, 0.6), (0.8910, 0.8936), (1.4, 2.1), (0, 1e-7), (3, 3), (-2, 400)],
)
def test_ticks_are_even_and_hold_the_range(low, high):
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low and ticks[-1] >= high and 2 <= len(ticks) <= 8
    np.testing.assert_allclose(np.diff(ticks), ticks[1] - ticks[0])


@pytest.mark.parametrize("last", [1, 2, 3, 9, 15, 50, 99, 1000])
def test_first_and_last_epoch_are_written(last):
    ticks = epoch_ticks(1, last)
    assert ticks[0] == 1 and ticks[-1] == last
    assert len(ticks) <= 12 and ticks == sorted(set(ticks))


def points(svg):
    return [
        [tuple(map(float, p.split(","))) for p in found.split()]
        for found in re.findall(r'points="([^"]*)"', svg)
    ]


def test_points_are_where_the_values_are():
    svg = chart("T", [1, 2, 3], [Curve("c", [0.0, 0.5, 1.0], 0)], percent=True)
    ((first, second, third),) = points(svg)
    assert second[0] == pytest.approx((first[0] + third[0]) / 2, abs=0.1)
    assert second[1] == pytest.approx((first[1] + third[1]) / 2, abs=0.1)
    assert first[1] > third[1]  # up is more
    assert "c, epoch 2: 50.00\u00a0%" in svg and ">100\u00a0%<" in svg
    assert "selected" not in svg


def test_what_is_no_number_is_left_out():
    values = [float("nan"), 2.0, float("inf")]
    assert len(points(chart("T", [1, 2, 3], [Curve("c", values, 0)]))[0]) == 1
    svg = chart("T", [1], [Curve("c", [float("nan")], 0)], marked=1)
    assert points(svg) == [[]] and "nan" not in svg


def test_axis_writes_different_numbers():
    svg = chart("T", [1, 2], [Curve("c", [0.8936, 0.8910], 0)])
    labels = re.findall(r'tick at-end">([^<]*)<', svg)
    assert len(labels) == len(set(labels)) > 2
