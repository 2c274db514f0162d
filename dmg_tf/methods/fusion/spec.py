"""What is known of Fusion before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import MethodSpec
from dmg_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of Fusion."""

    fusion_equal_share: float = setting(
        "α, share of equal weights in the mixture of the heads",
        0.25,
        at_least=0,
        at_most=1,
        symbol="α",
        search=(0.0, 0.25, 0.5, 0.75),
    )
    fusion_domain_weight: float = setting(
        "weight of the domain classifier's loss",
        0.5,
        at_least=0,
        axis="--fusion-domain-weights",
    )
    fusion_weights: str = setting(
        "what mixes the heads in training: each image's known domain, or the "
        "domain classifier's predictions, which then learn from the classes "
        "too",
        "known",
        names=lambda: ("known", "predicted"),
    )


SPEC = MethodSpec(
    title="Fusion",
    model="dmg_tf.methods.fusion.model:Fusion",
    summary="a head a domain, mixed by how much an image looks like each",
    options=Options,
    paper="Mancini, Rota Bulò, Caputo and Ricci, ICIP 2018",
    metrics={
        "domain_loss": "domain loss",
        "domain_accuracy": "domain accuracy",
    },
)
