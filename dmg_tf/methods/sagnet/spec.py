"""What is known of SagNet before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import MethodSpec
from dmg_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of SagNet."""

    sagnet_form: str = setting(
        "authors: styles of maps, one step for all; domainbed: styles of the "
        "features that the last layer takes, three updates one after the other",
        "authors",
        names=lambda: ("authors", "domainbed"),
    )
    sagnet_split: str | None = setting(
        "stage, or layer in one, before which the authors' form parts content "
        "and style (default: of a ResNet layer3)",
        metavar="LAYER",
        axis="--sagnet-splits",
    )
    sagnet_weight: float = setting(
        "weight of what keeps the style from telling the classes",
        0.1,
        at_least=0,
        symbol="λ_adv",
        search=(0.01, 0.1, 1.0, 10.0),
    )
    sagnet_clip: float = setting(
        "greatest norm of that one's gradient, in the authors' form",
        0.1,
        above=0,
        axis="--sagnet-clips",
    )


SPEC = MethodSpec(
    title="SagNet",
    model="dmg_tf.methods.sagnet.model:SagNet",
    least_sources=1,
    on_features=False,
    summary="a network whose early layers don't tell classes by style",
    options=Options,
    paper="Nam, Lee, Park, Yoon and Yoo, CVPR 2021",
    metrics={
        "style_loss": "cross entropy by style",
        "adversary": "adversary",
        "style_accuracy": "accuracy by style",
    },
)
