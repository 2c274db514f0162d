"""What is known of VREx before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import Batches, MethodSpec
from dmg_tf.settings import LogRange, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of VREx."""

    vrex_weight: float = setting(
        "β, weight of the variance of the domains' losses",
        10.0,
        at_least=0,
        symbol="β",
        search=LogRange(1e-1, 1e3),
    )
    # Steps, not a share: it takes these to learn anything, in short runs too.
    vrex_anneal_steps: int = setting(
        "steps before the weight is β; it is 1 until then, when the optimiser "
        "begins anew",
        500,
        at_least=0,
        axis="--vrex-anneal-steps-choices",
    )


SPEC = MethodSpec(
    title="VREx",
    model="dmg_tf.methods.vrex.model:VREx",
    summary="a loss that is the same in all domains",
    options=Options,
    paper="Krueger et al., ICML 2021",
    batches=Batches.BY_DOMAIN,
    metrics={"variance": "variance of losses"},
    metrics_by_domain={"risk": "loss"},
)
