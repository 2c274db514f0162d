"""What is known of IRM before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import Batches, MethodSpec
from dmg_tf.settings import LogRange, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of IRM."""

    irm_weight: float = setting(
        "λ, weight of the penalty",
        100.0,
        at_least=0,
        symbol="λ",
        search=LogRange(1e-1, 1e3),
    )
    # Steps, not a share: it takes these to learn anything, in short runs too.
    irm_anneal_steps: int = setting(
        "steps before the penalty's weight is λ; it is 1 until then, when the "
        "optimiser begins anew",
        500,
        at_least=0,
        axis="--irm-anneal-steps-choices",
    )
    irm_variant: str = setting(
        "domainbed: the product of the derivatives on two halves of a domain's "
        "images, which has no bias and may be negative; authors: the square of "
        "that on all of them, and the loss is divided by λ where λ > 1",
        "domainbed",
        names=lambda: ("domainbed", "authors"),
    )


SPEC = MethodSpec(
    title="IRM",
    model="dmg_tf.methods.irm.model:IRM",
    summary="one classifier that is the best in each domain",
    options=Options,
    paper="Arjovsky, Bottou, Gulrajani and Lopez-Paz, 2019",
    batches=Batches.BY_DOMAIN,
    metrics={"penalty": "penalty"},
    metrics_by_domain={"risk": "loss"},
)
