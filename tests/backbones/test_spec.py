import keras
import pytest

from dmg_tf.backbones.blocks import Backbone, NetworkSpec
from dmg_tf.backbones.spec import BackboneSpec, Download, Package
from dmg_tf.registry import BACKBONES


def make_toy(spec):
    stage = keras.Sequential([keras.layers.Flatten()], name="stem")
    head = keras.layers.Dense(spec.num_classes, name="head")
    return Backbone((stage, head), ("head",))


TOY = BackboneSpec(title="Toy", make=f"{__name__}:make_toy")


def test_a_backbone_is_added_by_its_name():
    with BACKBONES.with_name("toy", f"{__name__}:TOY"):
        spec = BACKBONES["toy"]
        assert "toy" in BACKBONES.names() and spec.load() is make_toy
        network = spec(NetworkSpec(num_classes=4))
    assert network.mask_sites == ("head",)
    assert network.stages[-1](keras.ops.zeros((2, 3))).shape == (2, 4)
    assert "toy" not in BACKBONES.names()


def test_what_makes_a_network_is_imported_when_asked_for():
    spec = BackboneSpec(title="broken", make="no_such_module:x")
    with pytest.raises(ModuleNotFoundError):
        spec.load()


@pytest.mark.parametrize(
    "name", [name for name in BACKBONES.names() if BACKBONES[name].imagenet]
)
def test_files_of_weights_end_in_their_hash(name):
    source = BACKBONES[name].imagenet
    assert isinstance(source, (Download, Package))
    path = source.url if isinstance(source, Download) else source.path
    assert path.endswith(f"-{source.sha256}.pth")
