"""Backbones by name. Importing this package loads no TensorFlow."""

from dmg_tf.backbones.keras_model.spec import from_keras
from dmg_tf.registry import BACKBONES

__all__ = ["from_keras"]

BACKBONES.register("alexnet", "dmg_tf.backbones.alexnet.spec:ALEXNET")
BACKBONES.register("resnet18", "dmg_tf.backbones.resnet.spec:RESNET18")
BACKBONES.register("resnet50", "dmg_tf.backbones.resnet.spec:RESNET50")
BACKBONES.register(
    "efficientnet_lite0",
    "dmg_tf.backbones.efficientnet_lite.spec:EFFICIENTNET_LITE0",
)
BACKBONES.register("conv4", "dmg_tf.backbones.conv4.spec:CONV4")
BACKBONES.register_family(
    "keras", "dmg_tf.backbones.keras_model.spec:APPLICATIONS"
)
BACKBONES.register_family(
    "keras_hub", "dmg_tf.backbones.keras_model.spec:PRESETS"
)
