import numpy as np
import pytest

from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.networks_beside import load_beside, network_beside

pytestmark = pytest.mark.usefixtures("with_stub")


class WithTwo(DomainModel):
    def build(self, input_shape=None):
        super().build(input_shape)
        self.beside = [network_beside(self, name) for name in ("one", "two")]


def make(kind=DomainModel, seed=0):
    model = kind("stub", 3, ("a", "b"), image_size=32, seed=seed)
    model.build()
    return model


def state_of(network):
    return {
        name: variable.numpy().transpose(np.argsort(axes))
        for name, (variable, axes) in network.torchvision_entries().items()
    }


def test_it_is_a_network_of_its_own():
    model = make()
    first, second = (network_beside(model, name) for name in ("one", "two"))
    other = network_beside(model, "one", num_outputs=2)
    assert first.task_network.stages[-1].units == 3
    assert other.task_network.stages[-1].units == 2
    paths = [v.path for n in (model, first, second) for v in n.variables]
    assert len(set(paths)) == len(paths) == 18
    kernels = [
        n.task_network.stages[-1].kernel.numpy() for n in (model, first, second)
    ]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(kernels[a] - kernels[b]).max() > 0.01
    again = network_beside(make(), "one")
    for old, new in zip(first.variables, again.variables, strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_model_keeps_it_and_shows_it_to_nobody(tmp_path):
    model, alone = make(WithTwo), make()
    assert len(model.trainable_variables) == 18
    assert model.torchvision_entries().keys() == (
        alone.torchvision_entries().keys()
    )
    seen = {v.path for x in model.inference_layers() for v in x.variables}
    assert not [path for path in seen if path.startswith(("one", "two"))]
    assert [m.name for m in model.metrics] == ["loss", "accuracy"]
    model.save_weights(tmp_path / "m.weights.h5")
    again = make(WithTwo, seed=1)
    again.load_weights(tmp_path / "m.weights.h5")
    for old, new in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("keep_classifier", [True, False])
def test_it_starts_from_the_model_s_weights(keep_classifier):
    model = make()
    state = state_of(make(seed=5))
    beside = network_beside(model, "one")
    before = beside.task_network.stages[-1].kernel.numpy()
    load_beside([beside], state, keep_classifier=keep_classifier)
    found = state_of(beside)
    for name in set(state) - {"fc.weight", "fc.bias"}:
        np.testing.assert_array_equal(found[name], state[name])
    expected = state["fc.weight"] if keep_classifier else before.T
    np.testing.assert_array_equal(found["fc.weight"], expected)


def test_a_classifier_of_other_classes_stays_fresh():
    beside = network_beside(make(), "one", num_outputs=2)
    before = beside.task_network.stages[-1].kernel.numpy()
    load_beside([beside], state_of(make(seed=5)))
    np.testing.assert_array_equal(beside.task_network.stages[-1].kernel, before)
