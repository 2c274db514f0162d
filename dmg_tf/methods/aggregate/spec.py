"""What is known of Aggregate before TensorFlow is loaded."""

from dmg_tf.methods.spec import MethodSpec

SPEC = MethodSpec(
    title="Aggregate",
    model="dmg_tf.methods.aggregate.model:Aggregate",
    least_sources=1,
    summary="one network on the pooled images of all sources",
    paper="the baseline of DMG's paper, Sec. 4.1",
    in_sweeps=True,
)
