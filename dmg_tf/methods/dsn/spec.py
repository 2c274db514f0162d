"""What is known of DSN before TensorFlow is loaded."""

import dataclasses
import math

from dmg_tf.errors import UserError
from dmg_tf.methods.spec import MethodSpec
from dmg_tf.settings import flag_of, setting


def _check_widths(widths: tuple[float, ...]) -> None:
    if not widths or not all(0 < width < math.inf for width in widths):
        raise UserError(
            f"{flag_of('dsn_mmd_widths')} must be numbers above 0, got "
            + " ".join(map(str, widths))
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of DSN."""

    dsn_reconstruction_weight: float = setting(
        "α, weight of rebuilding the image",
        0.01,
        at_least=0,
        symbol="α",
        axis="--dsn-reconstruction-weights",
    )
    dsn_difference_weight: float = setting(
        "β, weight of what shared and private codes have in common",
        0.075,
        at_least=0,
        symbol="β",
        axis="--dsn-difference-weights",
    )
    dsn_similarity_weight: float = setting(
        "γ, weight of what tells the domains' shared codes apart",
        0.25,
        at_least=0,
        symbol="γ",
        search=(0.0, 0.025, 0.25, 1.0),
    )
    dsn_similarity: str = setting(
        "the domains' shared codes are made alike by an adversary, or by the "
        "mean discrepancy (MMD) of each pair",
        "adversary",
        names=lambda: ("adversary", "mmd"),
    )
    dsn_difference: str = setting(
        "correlation of codes over pairs of images of a domain; or as the "
        "authors' code, the paper, or the PyTorch port has it",
        "pairs",
        names=lambda: ("pairs", "authors", "printed", "port"),
    )
    dsn_reconstruction: str = setting(
        "squared error that forgives brightness, mean over images; its sum "
        "over pixel pairs and images (the authors' code); mean squared error; "
        "or that and the port's penalty of brightness",
        "scale_invariant",
        names=lambda: ("scale_invariant", "authors", "mse", "port"),
    )
    dsn_start: float = setting(
        "share of the run after which shared codes are made alike",
        0.2,
        at_least=0,
        at_most=0.99,
    )
    dsn_code: int = setting("units of a private code", 128, at_least=1)
    dsn_decoder_width: int = setting(
        "units of the decoder's hidden layer", 512, at_least=1
    )
    dsn_adversary_width: int = setting(
        "units of the adversary's hidden layer", 100, at_least=1
    )
    dsn_mmd_widths: tuple[float, ...] = setting(
        "widths σ of the MMD's Gaussians exp(-d²/2σ), as multiples of the "
        "median squared distance",
        (0.25, 0.5, 1.0, 2.0, 4.0),
        metavar="WIDTH",
        check=_check_widths,
    )


SPEC = MethodSpec(
    title="DSN",
    model="dmg_tf.methods.dsn.model:DSN",
    on_features=False,
    summary="a shared code to classify by, private ones for each domain's rest",
    options=Options,
    paper="Bousmalis et al., NeurIPS 2016",
    uses_length=True,
    metrics={
        "reconstruction": "reconstruction",
        "difference": "difference",
        "similarity": "similarity",
        "domain_accuracy": "domain accuracy",
        "reversal": "reversal",
        "private_norm": "norm of private codes",
    },
)
