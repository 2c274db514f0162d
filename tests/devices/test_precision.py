"""`--precision auto`: what it chooses, and that a run keeps it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.config import RunConfig
from dmg_tf.devices import onednn, precision, processor
from dmg_tf.devices.precision import BFLOAT16, FLOAT32, choose
from dmg_tf.evaluation.scoring import dtype_policy
from dmg_tf.experiment import run_training
from dmg_tf.methods.build import build_model
from tests.training.runs import short_run


@pytest.fixture(scope="module", autouse=True)
def known(with_stub):
    """Knows the stub."""


@pytest.fixture
def native(monkeypatch):
    """Makes a machine that computes with bfloat16, or one that does not."""

    def make(is_native=True):
        monkeypatch.setattr(processor, "multiplies_bfloat16", lambda: is_native)
        monkeypatch.setattr(onednn, "is_on", lambda: True)
        monkeypatch.setattr(
            tf.config, "list_physical_devices", lambda kind=None: []
        )

    make()
    return make


def stub_in(name):
    with dtype_policy(name):
        return build_model("dmg", "stub", 3, ("a", "b"), image_size=32, seed=0)


def test_bfloat16_where_it_is_native_and_agrees(native):
    name, reason = choose(stub_in, 32)
    assert name == BFLOAT16
    share = float(reason.removeprefix("native here; features are off by ")[:-1])
    assert 0 < share < 3


def test_float32_where_features_differ(native):
    def worse(name):
        model = stub_in(name)
        if name == BFLOAT16:
            for weight in model.feature_extractor.weights:
                weight.assign(weight * 1.1)
        return model

    name, reason = choose(worse, 32)
    assert name == FLOAT32 and "are off by" in reason

    def broken(name):
        model = stub_in(name)
        if name == BFLOAT16:
            weight = model.feature_extractor.weights[0]
            weight.assign(weight * np.nan)
        return model

    assert choose(broken, 32)[0] == FLOAT32


def test_float32_where_it_is_not_native(native, monkeypatch):
    native(False)
    assert choose(None, 32) == (FLOAT32, "this processor has no bfloat16")
    native()
    monkeypatch.setattr(onednn, "is_on", lambda: False)
    assert choose(None, 32)[0] == FLOAT32


@pytest.mark.parametrize(
    ("capabilities", "is_native"),
    [([(8, 0)], True), ([(9, 0), (7, 5)], False), ([None], False)],
)
def test_gpus_count_by_their_capability(
    native, monkeypatch, capabilities, is_native
):
    native(False)
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda _: capabilities
    )
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: {"compute_capability": gpu} if gpu else {},
    )
    assert (precision._why_not_native() == "") == is_native


def test_a_run_keeps_what_was_chosen(native, tiny_folder, tmp_path, capsys):
    def auto(epochs):
        return short_run(
            tiny_folder,
            tmp_path / "run",
            epochs=epochs,
            method="aggregate",
            precision="auto",
        )

    result = run_training(auto(1))
    assert (
        "--precision auto is mixed_bfloat16: native" in capsys.readouterr().err
    )
    assert result.results["config"]["precision"] == BFLOAT16
    assert RunConfig.read(tmp_path / "run").precision == BFLOAT16
    native(False)  # as if it went on elsewhere
    result = run_training(auto(2), resume=True)
    assert result.results["config"]["precision"] == BFLOAT16
    assert result.model.compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == FLOAT32
