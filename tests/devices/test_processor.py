"""How much of the processor a process may use, and what it can do."""

import os

import pytest

from dmg_tf.devices import processor
from dmg_tf.studies.sweep import runner

VARIABLES = processor._THREADS


@pytest.fixture
def container(tmp_path, monkeypatch):
    """Makes a container with a quota on a machine of eight cores."""
    monkeypatch.setattr(processor, "_CGROUPS", tmp_path)
    monkeypatch.setattr(processor, "_limited", {})
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def make(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", ".").replace("cpu1", "cpu/cpu")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    return make


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu__max": "max 100000\n"}, 8),
        ({"cpu__max": "150000 100000\n"}, 2),
        ({"cpu__max": "10000 100000\n"}, 1),
        ({"cpu__max": "1600000 100000\n"}, 8),
        (
            {
                "cpu1__cfs_quota_us": "300000\n",
                "cpu1__cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            {"cpu1__cfs_quota_us": "-1\n", "cpu1__cfs_period_us": "100000\n"},
            8,
        ),
    ],
)
def test_a_quota_counts(container, files, cores):
    container(**files)
    assert processor.cores() == cores
    processor.limit_threads()
    expected = None if cores == 8 else str(cores)
    assert {os.environ.get(name) for name in VARIABLES} == {expected}


def test_what_the_user_set_is_kept(container, monkeypatch):
    container(cpu__max="400000 100000")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    processor.limit_threads()
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == "7"
    assert os.environ["OMP_NUM_THREADS"] == "4"


def test_runs_at_a_time_share_the_quota(container, monkeypatch):
    container(cpu__max="400000 100000")
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "7")
    processor.limit_threads()
    of_run = runner._environment(2, None)
    assert [of_run[name] for name in VARIABLES] == ["2", "7", "2"]


@pytest.mark.parametrize(
    ("text", "name", "bfloat16"),
    [
        ("model name : A\nflags : fpu avx512f amx_bf16\n", "A", True),
        ("model name : B\nflags : fpu avx512_bf16\n", "B", True),
        ("model name : C\nflags : fpu avx2\n", "C", False),
    ],
)
def test_what_the_kernel_says_of_it(
    text, name, bfloat16, tmp_path, monkeypatch
):
    path = tmp_path / "cpuinfo"
    path.write_text(text + text)
    monkeypatch.setattr(processor, "_CPUINFO", path)
    assert processor.name_and_flags()[0] == name
    assert processor.multiplies_bfloat16() == bfloat16


def test_a_system_without_that_file(tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "none")
    assert processor.name_and_flags()[1] is None
    assert not processor.multiplies_bfloat16()
