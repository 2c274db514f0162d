"""What is known of D-MTAE before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import MethodSpec
from dmg_tf.settings import LogRange, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of D-MTAE."""

    d_mtae_width: int = setting(
        "units of the code", 500, at_least=1, search=(100, 500, 1000)
    )
    d_mtae_corruption: float = setting(
        "share of the features that are set to zero",
        0.3,
        at_least=0,
        at_most=0.9,
        search=(0.0, 0.1, 0.3, 0.5),
    )
    d_mtae_decay: float = setting(
        "η, weight of the squared weights of encoder and decoders",
        1e-5,
        at_least=0,
        symbol="η",
        search=LogRange(1e-6, 1e-2),
    )
    d_mtae_targets: str = setting(
        "what a decoder is to rebuild: the mean of the image's class in the "
        "domain, or of an image of it, drawn anew each time (partner)",
        "class_mean",
        names=lambda: ("class_mean", "partner"),
    )
    d_mtae_activation: str = setting(
        "tanh encoder and linear decoders, on standardised features; or both "
        "sigmoid, on features between 0 and 1",
        "tanh",
        names=lambda: ("tanh", "sigmoid"),
    )
    d_mtae_epochs: int = setting(
        "passes over the features in a fit, of which there is one before each "
        "validation",
        20,
        at_least=1,
    )
    d_mtae_learning_rate: float = setting(
        "rate of the autoencoder", 1e-3, above=0
    )
    d_mtae_ridge: float = setting(
        "ridge of the classifier on codes, times their mean variance",
        0.1,
        above=0,
        search=LogRange(1e-3, 10.0),
    )


SPEC = MethodSpec(
    title="D-MTAE",
    model="dmg_tf.methods.d_mtae.model:DMTAE",
    on_features=False,
    summary="a classifier, in closed form, on the codes of an autoencoder "
    "that turns one domain into another",
    options=Options,
    paper="Ghifary, Kleijn, Zhang and Balduzzi, ICCV 2015",
    least_epochs=0,
)
