import numpy as np
import pytest

from dmg_tf.config import RunConfig
from dmg_tf.experiment import run_training
from dmg_tf.runs.history import read_history
from dmg_tf.training.length import Length
from tests.devices.workers import last_weights
from tests.training.runs import Copy

CLOCKS = ("seconds", "images_per_second")


@pytest.mark.parametrize(
    "epochs, steps, period, periods, ends",
    [
        (3, 4, 4, 3, [1, 2, 3]),
        (2, 4, 3, 3, [0.75, 1.5, 2.25]),
        (2, 4, 2, 4, [0.5, 1, 1.5, 2]),
        (1, 4, 10, 1, [2.5]),
        (0, 4, 3, 0, []),
    ],
)
def test_periods(epochs, steps, period, periods, ends):
    length = Length(epochs, steps, period)
    assert length.periods == periods
    assert length.steps == periods * period
    found = [length.epoch_after(i + 1) for i in range(periods)]
    assert found == ends
    assert [type(x) for x in found] == [type(x) for x in ends]


@pytest.fixture(scope="module")
def train(with_stub, tiny_folder):
    def run(output, resume=False, callbacks=(), **changes):
        config = RunConfig(
            **{
                "method": "aggregate",
                "output": str(output),
                "data": str(tiny_folder),
                "target": "c",
                "backbone": "stub",
                "weights": "none",
                "cache": "memory",
                "image_size": 32,
                "batch_size": 16,
                "epochs": 2,
                "learning_rate": 0.01,
                "validate_every": 3,
                **changes,
            }
        )
        return run_training(config, resume, callbacks)

    return run


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    """An unbroken run of 4 steps an epoch, validated every 3.

    Beside its folder is what it was after the second validation, `broken`.
    """
    output = tmp_path_factory.mktemp("whole") / "run"
    copy = Copy(output, output.with_name("broken"), after=2)
    return train(output, epochs=3, callbacks=[copy])


def rows_of(folder):
    rows = read_history(folder / "history.csv")
    return [{k: v for k, v in r.items() if k not in CLOCKS} for r in rows]


def assert_same(first, second):
    assert rows_of(first) == rows_of(second)
    first, second = last_weights(first), last_weights(second)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def test_rows_have_a_part_of_an_epoch(whole):
    rows = rows_of(whole.run_dir)
    assert [row["epoch"] for row in rows] == [0.75, 1.5, 2.25, 3]
    assert whole.results["selection"]["epoch"] in (0.75, 1.5, 2.25, 3)
    assert "0.75" in (whole.run_dir / "report.html").read_text("utf-8")
    # The rate is that of the epoch that a period begins in: 0, 0, 1 and 2.
    rates = [row["learning_rate"] for row in rows]
    assert rates == pytest.approx([0.01, 0.01, 0.0099, 0.009801])


def test_a_resumed_run_ends_as_an_unbroken_one(train, whole):
    broken = whole.run_dir.with_name("broken")
    assert len(rows_of(broken)) == 2
    train(broken, resume=True, epochs=3)
    assert_same(broken, whole.run_dir)


def test_a_longer_run_goes_on_exactly(train, whole, tmp_path, capsys):
    output = tmp_path / "run"
    train(output, epochs=2)
    assert len(rows_of(output)) == 3
    train(output, resume=True, epochs=3)
    assert "resumed after epoch 2.25 of 3" in capsys.readouterr().err
    assert_same(output, whole.run_dir)


def test_every_epoch_is_what_it_was(train, tmp_path):
    train(tmp_path / "given", validate_every=4)
    train(tmp_path / "default", validate_every=None)
    assert_same(tmp_path / "given", tmp_path / "default")
