"""What is known of Mixup before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import Batches, MethodSpec
from dmg_tf.settings import LogRange, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of Mixup."""

    mixup_alpha: float = setting(
        "α, a share is drawn from Beta(α, α): below 1 mostly near 0 or 1",
        0.2,
        above=0,
        symbol="α",
        search=LogRange(1e-1, 1e1),
    )


SPEC = MethodSpec(
    title="Mixup",
    model="dmg_tf.methods.mixup.model:Mixup",
    on_features=False,
    summary="images and labels of two domains, mixed",
    options=Options,
    paper="Yan et al., 2020; Wang, Li and Kot, ICASSP 2020; DomainBed's form",
    batches=Batches.BY_DOMAIN,
)
