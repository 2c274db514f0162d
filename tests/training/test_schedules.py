import numpy as np
import pytest

from dmg_tf.training.schedules import EpochSchedule


@pytest.mark.parametrize(
    "kind,formula",
    [
        ("exponential", lambda epoch: 0.99**epoch),
        ("inverse", lambda epoch: (1 + 1e-4 * epoch) ** -0.75),
        ("constant", lambda epoch: 1.0),
    ],
)
def test_rates(kind, formula):
    schedule = EpochSchedule(0.2, kind, steps_per_epoch=7)
    for step in (0, 6, 7, 13, 14, 7 * 49):
        expected = 0.2 * formula(step // 7)
        assert float(schedule(np.int64(step))) == pytest.approx(expected, 1e-5)
    again = EpochSchedule.from_config(schedule.get_config())
    assert again.get_config() == schedule.get_config()


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'cosine'"):
        EpochSchedule(0.1, "cosine", 3)
