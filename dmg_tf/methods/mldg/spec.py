"""What is known of MLDG before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import Batches, MethodSpec
from dmg_tf.settings import LogRange, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of MLDG."""

    mldg_inner_rate: float | None = setting(
        "α, size of the inner step (default: 1e-4 under Adam, else 5e-4)",
        above=0,
        symbol="α",
        search=LogRange(1e-5, 1e-2),
    )
    mldg_beta: float = setting(
        "β, weight of the held-out sources' loss after the inner step",
        1.0,
        at_least=0,
        symbol="β",
        search=(0.1, 0.5, 1.0, 2.0),
    )
    mldg_held_out: int = setting(
        "sources that the inner step leaves out", 1, at_least=1
    )
    mldg_order: str = setting(
        "second: the gradient goes through the inner step; first: it does not, "
        "which is faster",
        "second",
        names=lambda: ("second", "first"),
    )
    mldg_variant: str = setting(
        "authors: one inner step on the sum of losses; domainbed: one for each "
        "pair of sources, the first of Adam, always first order",
        "authors",
        names=lambda: ("authors", "domainbed"),
    )


SPEC = MethodSpec(
    title="MLDG",
    model="dmg_tf.methods.mldg.model:MLDG",
    summary="a gradient step on some sources has to serve the others too",
    options=Options,
    paper="Li, Yang, Song and Hospedales, AAAI 2018",
    batches=Batches.BY_DOMAIN,
    metrics={"held_out": "held-out source"},
)
