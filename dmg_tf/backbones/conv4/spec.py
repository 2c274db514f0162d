"""Conv-4, as the rest of the package knows it."""

from dmg_tf.backbones.spec import BackboneSpec

CONV4 = BackboneSpec(
    title="Conv-4", make="dmg_tf.backbones.conv4.network:conv4"
)
