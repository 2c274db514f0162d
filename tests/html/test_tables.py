"""Tables of a page: the range of their colours."""

import pytest

from dmg_tf.html.tables import twentieths_around


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.11, 0.52], (0.1, 0.55)),
        ([0.5], (0.45, 0.5)),
        ([1.0, 1.0], (0.95, 1.0)),
        ([0.0, 0.0], (0.0, 0.05)),  # as where no image is told right
    ],
)
def test_a_range_is_never_empty(values, expected):
    assert twentieths_around(values) == pytest.approx(expected)
