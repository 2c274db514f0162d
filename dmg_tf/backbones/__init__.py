"""Backbones by name. Importing this package loads no TensorFlow."""

from dmg_tf.registry import BACKBONES

BACKBONES.register("alexnet", "dmg_tf.backbones.alexnet:alexnet")
BACKBONES.register("resnet18", "dmg_tf.backbones.resnet:resnet18")
BACKBONES.register("resnet50", "dmg_tf.backbones.resnet:resnet50")
BACKBONES.register(
    "efficientnet_lite0",
    "dmg_tf.backbones.efficientnet_lite:efficientnet_lite0",
)
