"""What is known of MAML before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import Batches, MethodSpec
from dmg_tf.settings import LogRange, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of MAML."""

    maml_inner_rate: float = setting(
        "α, size of an inner step",
        1e-3,
        above=0,
        symbol="α",
        search=LogRange(1e-4, 1e-1),
    )
    maml_inner_steps: int = setting("inner steps", 1, at_least=1)
    maml_order: str = setting(
        "second: the gradient goes through the inner steps; first: it does "
        "not, which is faster",
        "second",
        names=lambda: ("second", "first"),
    )


SPEC = MethodSpec(
    title="MAML",
    model="dmg_tf.methods.maml.model:MAML",
    summary="weights from which a step on a source serves that source",
    options=Options,
    paper="Finn, Abbeel and Levine, ICML 2017",
    batches=Batches.BY_DOMAIN,
    metrics={"adapted": "after adaptation"},
)
