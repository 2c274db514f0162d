"""What is known of MixStyle before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import MethodSpec
from dmg_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of MixStyle."""

    mixstyle_sites: tuple[str, ...] | None = setting(
        "stages, or layers in one, on whose input styles are mixed (default: "
        "of a ResNet layer2 layer3 layer4, so behind layer1, 2 and 3)",
        metavar="LAYER",
        axis="--mixstyle-sites-choices",
    )
    mixstyle_probability: float = setting(
        "p, how often a place mixes the styles of a batch",
        0.5,
        at_least=0,
        at_most=1,
        symbol="p",
        axis="--mixstyle-probabilities",
        search=(0.25, 0.5, 0.75, 1.0),
    )
    mixstyle_alpha: float = setting(
        "α, shares are drawn from Beta(α, α)",
        0.1,
        above=0,
        symbol="α",
        search=(0.1, 0.2, 0.3, 1.0),
    )
    mixstyle_partners: str = setting(
        "an image's partner is any of the batch (random), or one of another "
        "source (crossdomain)",
        "random",
        names=lambda: ("random", "crossdomain"),
    )


SPEC = MethodSpec(
    title="MixStyle",
    model="dmg_tf.methods.mixstyle.model:MixStyle",
    on_features=False,
    summary="images borrow mean and deviation of others' maps in training",
    options=Options,
    paper="Zhou, Yang, Qiao and Xiang, ICLR 2021",
)
