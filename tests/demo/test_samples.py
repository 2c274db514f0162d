"""Pictures that the page offers: the run's own, where they still are."""

import pathlib

import pytest

from dmg_tf.demo.samples import find_samples
from tests.report.runs import write_run


@pytest.fixture
def run(tmp_path):
    write_run(tmp_path)
    return tmp_path / "run"


def test_a_few_of_the_targets(run):
    samples = find_samples(run, 10**6)
    assert 4 <= len(samples) <= 8
    assert len({sample.path for sample in samples}) == len(samples)
    for sample in samples:
        path = pathlib.Path(sample.path)
        assert sample.title == f"{path.parent.name}, t"
        assert sample.kind == "image/png"
    # What is gone, too large or no picture is not offered.
    pathlib.Path(samples[0].path).unlink()
    pathlib.Path(samples[1].path).write_text("no picture")
    assert find_samples(run, 10**6) == samples[2:]
    assert find_samples(run, 10) == []


def test_without_a_run_there_are_none(run, tmp_path):
    assert find_samples(tmp_path, 10**6) == []
    (run / "predictions.csv").write_text("damaged")
    assert find_samples(run, 10**6) == []
    (run / "predictions.csv").unlink()
    assert find_samples(run, 10**6) == []
