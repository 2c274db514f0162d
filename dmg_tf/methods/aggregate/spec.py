"""What is known of Aggregate before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import MethodSpec
from dmg_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of Aggregate."""

    site_dropout: float = setting(
        "share of the units on the input of each mask site that are dropped, "
        "drawn anew for each image of a step; in prediction all count by the "
        "share that is kept. Masks that have learned nothing drop 0.38",
        0.0,
        at_least=0,
        at_most=0.99,
    )


SPEC = MethodSpec(
    title="Aggregate",
    model="dmg_tf.methods.aggregate.model:Aggregate",
    least_sources=1,
    summary="one network on the pooled images of all sources",
    options=Options,
    paper="the baseline of DMG's paper, Sec. 4.1",
    in_sweeps=True,
)
