"""What is known of MASF before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import Batches, MethodSpec
from dmg_tf.settings import LogRange, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of MASF."""

    masf_inner_rate: float = setting(
        "α, size of the inner step",
        1e-5,
        above=0,
        symbol="α",
        search=LogRange(1e-6, 1e-3),
    )
    masf_global: float = setting(
        "weight of the difference between the domains' class relations",
        1.0,
        at_least=0,
        search=(0.1, 1.0, 10.0),
    )
    masf_local: float = setting(
        "weight of the triplet loss",
        0.005,
        at_least=0,
        search=(0.001, 0.005, 0.05),
    )
    masf_margin: float = setting(
        "ξ, by how much another class is to be farther away in the metric "
        "network's square distance",
        20.0,
        at_least=0,
        symbol="ξ",
        search=(1.0, 10.0, 20.0),
    )
    masf_temperature: float = setting(
        "τ, what mean logits are divided by", 2.0, above=0, symbol="τ"
    )
    masf_clip: float = setting(
        "greatest norm of a variable's gradient in the inner step and behind "
        "it",
        2.0,
        above=0,
    )
    masf_metric_units: tuple[int, ...] = setting(
        "widths of the metric network's layers", (1024, 256), metavar="UNITS"
    )
    masf_metric_share: float | None = setting(
        "share of a batch in the triplet loss, at least two images a source "
        "(default: a third)",
        above=0,
        at_most=1,
    )


SPEC = MethodSpec(
    title="MASF",
    model="dmg_tf.methods.masf.model:MASF",
    summary="class relations and clusters that hold on the other domains",
    options=Options,
    paper="Dou, Castro, Kamnitsas and Glocker, NeurIPS 2019",
    batches=Batches.BY_DOMAIN,
    metrics={"global": "class relations", "local": "triplets"},
)
