"""AlexNet, as the rest of the package knows it."""

from dmg_tf.backbones.spec import BackboneSpec, Download

ALEXNET = BackboneSpec(
    title="AlexNet",
    make="dmg_tf.backbones.alexnet.network:alexnet",
    # Torchvision's IMAGENET1K_V1.
    imagenet=Download(
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be79",
    ),
)
