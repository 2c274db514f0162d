"""Two processes train as one; a killed one stops the other and is resumed."""

import numpy as np
import pytest

from dmg_tf.commands import train
from dmg_tf.registry import METHODS
from dmg_tf.runs.folder import load_run_model
from tests.commands.programs import RUN_FILES
from tests.devices import workers
from tests.devices.workers import cluster, finish, last_weights, start_workers
from tests.training.toy_methods import NAMES

pytestmark = pytest.mark.slow
EPOCHS = 8
WHOLE = ("--epochs", str(EPOCHS))


def command(data, output, *extra):
    # Graphs that decode images are most of a short run's time.
    return workers.command(data, output, "--cache", "memory", *extra)


@pytest.fixture(scope="module")
def whole(tiny_folder, tmp_path_factory):
    """A run of two processes that nothing disturbed, and what they said."""
    output = tmp_path_factory.mktemp("whole") / "run"
    said = finish(start_workers(command(tiny_folder, output, *WHOLE)))
    return output, said


def assert_close(first, second, **tolerance):
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_allclose(
            value, second[name], err_msg=name, **tolerance
        )


def test_two_processes_train_as_one(whole, with_stub, tiny_folder, tmp_path):
    output, said = whole
    assert [code for code, _, _ in said] == [0, 0], said[0][2] + said[1][2]
    assert train.main(command(tiny_folder, tmp_path / "one", *WHOLE)) == 0
    one, two = last_weights(tmp_path / "one"), last_weights(output)
    assert_close(one, two, rtol=0, atol=1e-5)


def test_each_worker_calls_the_hooks(
    with_stub, tiny_folder, tmp_path, monkeypatch
):
    """What they change would differ, and so the next epoch's weights."""
    method = "all_hooks"
    monkeypatch.setitem(METHODS._paths, method, NAMES[method])
    # The variance of two halves of a batch is not that of the whole.
    flags = ("--method", method, "--spread-weight", "0")
    two, one = tmp_path / "two", tmp_path / "one"
    said = finish(start_workers(command(tiny_folder, two, *flags)))
    assert [code for code, _, _ in said] == [0, 0], said[0][2] + said[1][2]
    assert train.main(command(tiny_folder, one, *flags)) == 0
    # A ridge regression's weights are large, and so is their rounding.
    assert_close(last_weights(one), last_weights(two), rtol=1e-4, atol=1e-5)
    selected = [
        load_run_model(folder).task_network.stages[-1].kernel
        for folder in (one, two)
    ]
    np.testing.assert_allclose(*selected, rtol=1e-4, atol=1e-5)


def test_only_the_chief_writes_and_talks(whole):
    output, (chief, worker) = whole
    assert "Accuracy (%)" in chief[1]
    assert "2 devices share each batch of 4" in chief[2]
    assert f"epoch {EPOCHS}/{EPOCHS}" in chief[2]
    assert worker[1] == ""
    # TensorFlow's own chatter while it loads is all that is left
    lines = [x for x in worker[2].splitlines() if "0000 00:00" not in x]
    assert all(x.startswith("WARNING: All log messages") for x in lines)
    names = {path.name for path in output.iterdir()}
    assert names == RUN_FILES
    # Of the run, of training and of validation.
    writers = [path.parent for path in (output / "logs").rglob("events.*")]
    assert len(writers) == len(set(writers)) == 3


def test_killed_worker(whole, tiny_folder, tmp_path):
    """The chief says so in one line, and the run resumes exactly."""
    output = tmp_path / "run"
    # It has to be killed before it ends.
    processes = start_workers(command(tiny_folder, output, "--epochs", "5000"))
    processes[0].says("epoch    1/")
    processes[1].kill()
    (code, printed, errors), _ = finish(processes)
    assert (code, printed) == (75, "")
    assert "Traceback" not in errors
    *_, last = errors.splitlines()
    assert last.startswith("error: lost worker 1 (127.0.0.1:")
    assert "--resume" in last and not (output / "results.json").exists()

    done = len((output / "history.csv").read_text().splitlines()) - 1
    assert 1 <= done < EPOCHS
    said = finish(
        start_workers(command(tiny_folder, output, *WHOLE, "--resume"))
    )
    assert [code for code, _, _ in said] == [0, 0]
    assert f"resumed after epoch {done} of {EPOCHS}" in said[0][2]
    assert_close(last_weights(output), last_weights(whole[0]), rtol=0, atol=0)


def test_killed_chief(tiny_folder, tmp_path):
    argv = command(tiny_folder, tmp_path / "run", "--epochs", "5000")
    processes = start_workers(argv)
    processes[0].says("epoch    1/")
    processes[0].kill()
    _, (code, printed, errors) = finish(processes)
    assert (code, printed) == (75, "")
    *_, last = errors.splitlines()
    assert last.startswith("error: lost worker 0 (127.0.0.1:")


def test_worker_that_never_starts(
    with_stub, tiny_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("TF_CONFIG", cluster(2)[0])
    monkeypatch.setenv("DMG_TF_WAIT_SECONDS", "1")
    assert train.main(command(tiny_folder, tmp_path / "run")) == 2
    assert not (tmp_path / "run").exists()
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: worker 1 (127.0.0.1:")
    assert "did not start within 1 seconds" in last
