"""What is known of CrossGrad before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import MethodSpec
from dmg_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of CrossGrad."""

    crossgrad_label_step: float = setting(
        "ε, how far images move along the gradient of the domains' loss, for "
        "the network of classes; in units of normalised images",
        1.0,
        at_least=0,
        symbol="ε",
        search=(0.3, 1.0, 3.0, 10.0),
    )
    crossgrad_domain_step: float = setting(
        "how far images move along the gradient of the classes' loss, for the "
        "network of domains",
        1.0,
        at_least=0,
        axis="--crossgrad-domain-steps",
    )
    crossgrad_label_share: float = setting(
        "α, share of the moved images in the loss of classes",
        0.5,
        at_least=0,
        at_most=1,
        symbol="α",
        axis="--crossgrad-label-shares",
    )
    crossgrad_domain_share: float = setting(
        "share of the moved images in the loss of domains",
        0.5,
        at_least=0,
        at_most=1,
        axis="--crossgrad-domain-shares",
    )
    crossgrad_clip: float = setting(
        "greatest size of a gradient's entry before it is multiplied by ε",
        0.1,
        above=0,
        axis="--crossgrad-clips",
    )
    crossgrad_gradient: str = setting(
        "gradient of each image's own loss, or of the batch's mean loss as in "
        "public code, by which images hardly move",
        "image",
        names=lambda: ("image", "batch"),
    )


SPEC = MethodSpec(
    title="CrossGrad",
    model="dmg_tf.methods.crossgrad.model:CrossGrad",
    on_features=False,
    summary="classes learned from images that are moved towards other domains",
    options=Options,
    paper="Shankar, Piratla et al., ICLR 2018",
    metrics={
        "moved_cross_entropy": "cross entropy, moved images",
        "domain_loss": "domain loss",
        "moved_domain_loss": "domain loss, moved images",
        "domain_accuracy": "domain accuracy",
        "movement": "movement",
    },
)
