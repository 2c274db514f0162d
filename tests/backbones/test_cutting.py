import numpy as np
import pytest

from dmg_tf.backbones.blocks import NetworkSpec
from dmg_tf.backbones.cutting import cut_before
from dmg_tf.errors import UserError
from dmg_tf.registry import BACKBONES


def stages_of(backbone):
    return BACKBONES[backbone](NetworkSpec(3, dropout=False)).stages


@pytest.mark.parametrize(
    "backbone,names,expected",
    [
        (
            "alexnet",
            ("features.6", "classifier.4", "features.3"),
            "features features.3 features.6 classifier.1 classifier.4 "
            "classifier.6",
        ),
        # A block whose shortcut is the block's own input.
        (
            "efficientnet_lite0",
            ("blocks.4", "blocks.11"),
            "features blocks.4 blocks.11 blocks.15 conv_head fc",
        ),
        (
            "resnet18",
            ("layer3", "layer2.1"),
            "stem layer1 layer2 layer2.1 layer3 layer4 fc",
        ),
    ],
)
def test_cut_stages_compute_the_same(backbone, names, expected):
    stages = stages_of(backbone)
    cut = cut_before(stages, names, backbone)
    assert [stage.name for stage in cut] == expected.split()
    whole = x = np.random.default_rng(0).normal(size=(1, 64, 64, 3))
    for stage in stages:
        whole = stage(whole)
    for stage in cut:
        x = stage(x)
    np.testing.assert_array_equal(x, whole)
    paths = [w.path for stage in stages for w in stage.weights]
    assert [w.path for stage in cut for w in stage.weights] == paths


def test_what_cannot_be_cut():
    stages = stages_of("resnet18")
    for name, message in [
        ("layer5", "unknown layer of resnet18 'layer5'; known: layer1, layer2"),
        ("stem", "unknown layer"),
        ("conv1", "nothing to cut before 'conv1': it begins 'stem'"),
        ("layer2.0", "it begins 'layer2'"),
        ("layer2.1.conv2", "a shortcut goes around it"),
    ]:
        with pytest.raises(UserError, match=message):
            cut_before(stages, [name], "resnet18")
