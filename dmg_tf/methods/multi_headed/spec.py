"""What is known of Multi-Headed before TensorFlow is loaded."""

from dmg_tf.methods.spec import MethodSpec

SPEC = MethodSpec(
    title="Multi-Headed",
    model="dmg_tf.methods.multi_headed.model:MultiHeaded",
    summary="a classifier a domain on one shared network",
    paper="the baseline of DMG's paper, Sec. 4.1",
    in_sweeps=True,
)
