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
    with pytest.raises(ValueError, match="'linear'"):
        EpochSchedule(0.1, "linear", 3)
    with pytest.raises(ValueError, match="`total_steps` is needed"):
        EpochSchedule(0.1, "cosine", 3)


def test_cosine_falls_to_nothing():
    schedule = EpochSchedule(0.2, "cosine", 5, total_steps=20)
    rates = [float(schedule(step)) for step in (0, 5, 10, 20, 30)]
    half = 0.1 * (1 + np.cos(np.pi / 4))
    np.testing.assert_allclose(rates, [0.2, half, 0.1, 0, 0], atol=1e-7)
    again = EpochSchedule.from_config(schedule.get_config())
    assert float(again(5)) == float(schedule(5))


@pytest.mark.parametrize("kind", ["constant", "cosine", "exponential"])
def test_warmup(kind):
    schedule = EpochSchedule(0.2, kind, 5, total_steps=20, warmup_steps=4)
    plain = EpochSchedule(0.2, kind, 5, total_steps=20)
    for step, share in ((0, 0.25), (1, 0.5), (3, 1), (4, 1), (19, 1)):
        expected = share * float(plain(step))
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-6)
