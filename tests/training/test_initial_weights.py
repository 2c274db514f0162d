"""What the weights of a run's model start from."""

import h5py
import pytest

from dmg_tf.config import RunConfig
from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.training.first_weights.loaded import load_initial_weights
from tests.cases.damage import damages


@pytest.fixture(scope="module")
def model(with_stub):
    return build_model("aggregate", "stub", 2, ("a", "b"), image_size=32)


def config_of(path):
    return RunConfig(
        target="c", backbone="stub", method="aggregate", weights=str(path)
    )


def test_damaged_weights_of_keras_are_told(model, tmp_path):
    path = tmp_path / "net.weights.h5"
    model.save_weights(path)
    config = config_of(path)
    load_initial_weights(model, config)
    told = 0
    for _, damaged in damages([path], 120, seed=1):
        whole = path.read_bytes()
        path.write_bytes(damaged)
        try:
            load_initial_weights(model, config)
        except UserError as error:
            assert len(str(error).splitlines()) == 1
            assert path.name in str(error)
            told += 1
        path.write_bytes(whole)
    assert told >= 20


def test_a_part_that_is_missing_is_told(model, tmp_path):
    path = tmp_path / "net.weights.h5"
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        del file["layers/task_network/stages/functional/layers"]
    with pytest.raises(UserError, match="do not fit "):
        load_initial_weights(model, config_of(path))
    with pytest.raises(UserError, match="cannot read weights"):
        load_initial_weights(model, config_of(tmp_path / "none.weights.h5"))
