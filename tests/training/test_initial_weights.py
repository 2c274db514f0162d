"""What the weights of a run's model start from."""

import pytest

from dmg_tf.config import RunConfig
from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.training.initial_weights import load_initial_weights
from tests.cases.damage import damages


def test_damaged_weights_of_keras_are_told(with_stub, tmp_path):
    model = build_model("aggregate", "stub", 2, ("a", "b"), image_size=32)
    path = tmp_path / "net.weights.h5"
    model.save_weights(path)
    config = RunConfig(
        target="c", backbone="stub", method="aggregate", weights=str(path)
    )
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
    path.unlink()
    with pytest.raises(UserError, match="cannot read weights"):
        load_initial_weights(model, config)
