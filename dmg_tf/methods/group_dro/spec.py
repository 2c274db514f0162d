"""What is known of GroupDRO before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import Batches, MethodSpec
from dmg_tf.settings import LogRange, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of GroupDRO."""

    group_dro_step: float = setting(
        "η, how fast the domains' weights follow their losses",
        0.01,
        at_least=0,
        symbol="η",
        search=LogRange(1e-3, 1e-1),
    )


SPEC = MethodSpec(
    title="GroupDRO",
    model="dmg_tf.methods.group_dro.model:GroupDRO",
    summary="domains count the more, the higher their loss is",
    options=Options,
    paper="Sagawa, Koh, Hashimoto and Liang, ICLR 2020",
    batches=Batches.BY_DOMAIN,
    metrics={"worst": "worst domain's loss"},
    metrics_by_domain={"risk": "loss", "weight": "weight"},
)
