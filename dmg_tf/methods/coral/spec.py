"""What is known of CORAL before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import Batches, MethodSpec
from dmg_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of CORAL."""

    coral_weight: float = setting(
        "γ, weight of the distance between the domains' means and covariances",
        1.0,
        at_least=0,
        symbol="γ",
        search=(0.1, 1.0, 10.0, 100.0),
    )


SPEC = MethodSpec(
    title="CORAL",
    model="dmg_tf.methods.coral.model:CORAL",
    summary="features with the same mean and covariance in all domains",
    options=Options,
    paper="Sun and Saenko, ECCV Workshops 2016; DomainBed's form",
    batches=Batches.BY_DOMAIN,
    metrics={"distance": "distance"},
)
