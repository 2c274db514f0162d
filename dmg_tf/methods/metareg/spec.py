"""What is known of MetaReg before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import MethodSpec
from dmg_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of MetaReg."""

    mask_sites: tuple[str, ...] | None = setting(
        "the first of these layers begins the task network, which is "
        "regularised (default: the last layer)",
        metavar="LAYER",
    )
    meta_steps: int = setting(
        "inner gradient steps that teach the regulariser", 5, at_least=1
    )
    meta_learning_rate: float = setting(
        "rate of the regulariser",
        0.01,
        above=0,
        axis="--meta-learning-rates",
    )


SPEC = MethodSpec(
    title="MetaReg",
    model="dmg_tf.methods.metareg.model:MetaReg",
    summary="a regulariser of the task network that is learned from domains",
    options=Options,
    paper="Balaji, Sankaranarayanan and Chellappa, NeurIPS 2018",
    metrics={"regularizer": "regulariser"},
    recorded_by_all=("mask_sites", "meta_steps", "meta_learning_rate"),
)
