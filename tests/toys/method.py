"""A toy method: an expert a domain, on the features of a shared network."""

import dataclasses

from dmg_tf.methods.spec import Batches, MethodSpec
from dmg_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    spread: float = setting(
        "weight of how far the experts are apart",
        0.5,
        at_least=0,
        symbol="σ",
        search=(0.0, 1.0),
    )
    expert_bias: bool = setting("whether experts have a bias", False)


SPEC = MethodSpec(
    title="Experts",
    model="tests.toys.model:Experts",
    summary="an expert a domain behind a shared network",
    options=Options,
    paper="a toy of the tests",
    batches=Batches.BY_DOMAIN,
    defaults={"schedule": "constant"},
    metrics={"spread": "spread of experts"},
)
