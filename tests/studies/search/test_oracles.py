"""No trial is lost or handed out twice, whatever is killed."""

import json

import keras_tuner
import pytest
from keras_tuner.engine.trial import TrialStatus

from dmg_tf.studies.search.oracles import (
    BandOracle,
    BayesianOracle,
    GridOracle,
    RandomOracle,
    claim,
)


def make(folder, kind=GridOracle, silence=None, values=(0.0, 0.1, 1.0), **more):
    """Returns an oracle over λ_O and three batch sizes' worth of nothing."""
    space = keras_tuner.HyperParameters()
    space.Choice("siou_weight", list(values))
    oracle = kind(
        objective=keras_tuner.Objective("validation", "max"),
        hyperparameters=space,
        seed=1,
        **more,
    )
    oracle._set_project_dir(str(folder), ".")
    oracle.silence = silence
    return oracle


def end(oracle, trial, value=0.5, status=TrialStatus.COMPLETED):
    oracle.update_trial(trial.trial_id, {"validation": value})
    trial.status = status
    oracle.end_trial(trial)


def weight(trial):
    return trial.hyperparameters.values["siou_weight"]


def run_all(oracle, tuner_id="tuner0"):
    """Ends every trial that is left; returns their values."""
    seen = []
    while True:
        trial = oracle.create_trial(tuner_id)
        if trial.status == TrialStatus.STOPPED:
            return seen
        seen.append(weight(trial))
        end(oracle, trial)


@pytest.mark.parametrize("kind", [GridOracle, RandomOracle])
def test_every_value_is_tried_once(tmp_path, kind):
    values = run_all(make(tmp_path, kind, max_trials=3))
    assert sorted(values) == [0.0, 0.1, 1.0]
    if kind is GridOracle:
        assert values == [0.0, 0.1, 1.0]


def test_a_grid_of_two(tmp_path):
    oracle = make(tmp_path)
    oracle.hyperparameters.Choice("batch_size", [16, 32])
    seen = []
    while (trial := oracle.create_trial("t")).status != TrialStatus.STOPPED:
        values = trial.hyperparameters.values
        seen.append((values["siou_weight"], values["batch_size"]))
        end(oracle, trial)
    assert seen == [(w, b) for w in (0.0, 0.1, 1.0) for b in (16, 32)]


@pytest.mark.parametrize("kind", [GridOracle, RandomOracle])
def test_a_killed_search_goes_on(tmp_path, kind):
    """Killed in its second trial: that one again, then the third."""
    oracle = make(tmp_path, kind, max_trials=3)
    first = oracle.create_trial("tuner0")
    end(oracle, first)
    second = oracle.create_trial("tuner0")

    again = make(tmp_path, kind, max_trials=3)
    again.reload()
    trial = again.create_trial("tuner0")
    assert trial.trial_id == second.trial_id and weight(trial) == weight(second)
    end(again, trial)
    (last,) = run_all(again)
    assert {weight(first), weight(second), last} == {0.0, 0.1, 1.0}


def test_killed_between_the_end_and_the_next(tmp_path):
    """KerasTuner's file still names the trial that has just ended."""
    oracle = make(tmp_path)
    end(oracle, oracle.create_trial("tuner0"))
    again = make(tmp_path)
    again.reload()
    assert run_all(again) == [0.1, 1.0]
    assert len(again.end_order) == 3


def test_killed_between_two_files(tmp_path):
    """A trial whose own file alone was written was never handed out."""
    oracle = make(tmp_path)
    end(oracle, oracle.create_trial("tuner0"))
    state = (tmp_path / "oracle.json").read_text()
    oracle.create_trial("tuner0")
    (tmp_path / "oracle.json").write_text(state)
    again = make(tmp_path)
    again.reload()
    assert run_all(again) == [0.1, 1.0]


def test_failures_end_no_search_and_are_tried_again_later(tmp_path):
    oracle = make(tmp_path, values=range(6))
    for _ in range(5):
        trial = oracle.create_trial("tuner0")
        end(oracle, trial, float("-inf"), TrialStatus.FAILED)
    again = make(tmp_path, values=range(6))
    again.reload()
    assert sorted(run_all(again)) == [0, 1, 2, 3, 4, 5]
    assert all(t.status == TrialStatus.COMPLETED for t in again.trials.values())
    assert sorted(again.end_order) == sorted(again.trials)


def test_nothing_is_proposed_twice_by_the_gaussian_process(tmp_path):
    pytest.importorskip("sklearn")
    values = (0.0, 0.1, 0.2, 0.3, 0.4)
    oracle = make(tmp_path, BayesianOracle, values=values, max_trials=5)
    assert sorted(run_all(oracle)) == list(values)


def test_bands(tmp_path):
    """Few epochs for many, more for the best; all of them end."""
    values = tuple(range(20))
    oracle = make(tmp_path, BandOracle, values=values, max_epochs=9)
    total, draws = oracle.trials_and_draws()
    epochs, first = [], []
    while (trial := oracle.create_trial("t")).status != TrialStatus.STOPPED:
        values = trial.hyperparameters.values
        epochs.append(values["tuner/epochs"])
        if "tuner/trial_id" not in values:
            first.append(values["siou_weight"])
        end(oracle, trial, value=values["siou_weight"])
    assert len(epochs) == total and set(epochs) == {1, 3, 9}
    assert len(set(first)) == len(first) == draws


# === Chief and workers ===


class Clock:
    """Stands in for the chief's clock."""

    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("dmg_tf.studies.search.oracles.time", clock)
    return clock


def test_a_silent_worker_s_trial_goes_to_another(tmp_path, clock, capsys):
    oracle = make(tmp_path, silence=60, values=(0.0, 0.1))
    lost, kept = (oracle.create_trial(name) for name in ("w1", "w2"))
    clock.now = 50
    assert oracle.get_trial(claim(kept.trial_id, "w2")) is kept
    assert oracle.create_trial("w3").status == TrialStatus.IDLE
    clock.now = 61
    oracle.release_silent()
    assert "nothing was heard from w1 for 60 s" in capsys.readouterr().err
    again = oracle.create_trial("w3")
    assert again.trial_id == lost.trial_id and weight(again) == weight(lost)
    # the first is not dead after all, and is told
    claimed = oracle.get_trial(claim(lost.trial_id, "w1"))
    assert claimed.status == TrialStatus.STOPPED
    assert oracle.get_trial(claim(lost.trial_id, "w3")) is again
    for trial in (again, kept):
        assert oracle.create_trial("w4").status == TrialStatus.IDLE
        end(oracle, trial)
    for name in ("w2", "w3", "w4"):
        assert oracle.create_trial(name).status == TrialStatus.STOPPED
    # nobody is waited for
    assert not oracle.ongoing_trials and not oracle.tuner_ids


def test_a_worker_that_leaves_without_a_word_is_not_waited_for(tmp_path, clock):
    oracle = make(tmp_path, silence=60, values=(0.0,))
    trial = oracle.create_trial("w1")
    oracle.create_trial("w2")
    end(oracle, trial)
    assert oracle.create_trial("w1").status == TrialStatus.STOPPED
    assert oracle.tuner_ids == {"w2"}
    clock.now = 61
    oracle.release_silent()
    assert not oracle.tuner_ids


def test_workers_keep_their_trials_when_the_chief_is_started_again(
    tmp_path, clock
):
    oracle = make(tmp_path, silence=60, values=(0.0, 0.1, 1.0))
    end(oracle, oracle.create_trial("w1"))
    held, lost = (oracle.create_trial(name) for name in ("w1", "w2"))

    chief = make(tmp_path, silence=60, values=(0.0, 0.1, 1.0))
    chief.reload()
    assert chief.create_trial("w3").status == TrialStatus.IDLE
    claimed = chief.get_trial(claim(held.trial_id, "w1"))
    assert claimed.status == TrialStatus.RUNNING
    clock.now = 59
    chief.get_trial(claim(held.trial_id, "w1"))
    chief.create_trial("w3")
    clock.now = 61
    chief.release_silent()
    assert chief.create_trial("w3").trial_id == lost.trial_id


def test_a_worker_that_is_started_again_gets_its_trial_back(tmp_path):
    oracle = make(tmp_path, silence=60)
    trial = oracle.create_trial("w1")
    assert oracle.create_trial("w1") is trial


def test_files_are_whole(tmp_path, monkeypatch):
    """A write that fails leaves the state before it."""
    oracle = make(tmp_path)
    end(oracle, oracle.create_trial("tuner0"))
    before = json.loads((tmp_path / "oracle.json").read_text())

    def full(self, text, *_):
        self.write_bytes(text.encode()[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(Exception, match="the disk is full"):
        oracle.create_trial("tuner0")
    assert json.loads((tmp_path / "oracle.json").read_text()) == before
