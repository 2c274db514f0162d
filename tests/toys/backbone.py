"""A toy backbone: mean colours of a few patches, and a layer on them."""

from dmg_tf.backbones.spec import BackboneSpec

SPEC = BackboneSpec(title="Dots", make="tests.toys.network:dots")
