"""The ResNets, as the rest of the package knows them."""

from dmg_tf.backbones.spec import BackboneSpec, Download

# The weights are torchvision's IMAGENET1K_V1.
RESNET18 = BackboneSpec(
    title="ResNet-18",
    make="dmg_tf.backbones.resnet.network:resnet18",
    imagenet=Download(
        "https://download.pytorch.org/models/resnet18-f37072fd.pth", "f37072fd"
    ),
)
RESNET50 = BackboneSpec(
    title="ResNet-50",
    make="dmg_tf.backbones.resnet.network:resnet50",
    imagenet=Download(
        "https://download.pytorch.org/models/resnet50-0676ba61.pth", "0676ba61"
    ),
)
