"""What is known of RSC before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import MethodSpec
from dmg_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of RSC."""

    rsc_feature_share: float = setting(
        "share of an image's features that are muted, those that say most for "
        "its class",
        0.3333,
        at_least=0,
        at_most=1,
        search=(0.1, 0.2, 0.3333, 0.5),
    )
    rsc_batch_share: float = setting(
        "share of a batch's images whose features are muted, those whose class "
        "loses most by it",
        0.3333,
        at_least=0,
        at_most=1,
        search=(0.1, 0.2, 0.3333, 0.5),
    )


SPEC = MethodSpec(
    title="RSC",
    model="dmg_tf.methods.rsc.model:RSC",
    least_sources=1,
    summary="classes learned without the features that tell them best",
    options=Options,
    paper="Huang, Wang, Xing and Huang, ECCV 2020; DomainBed's form",
    metrics={
        "whole_cross_entropy": "cross entropy with all features",
        "change": "loss of the class's probability by muting",
    },
)
