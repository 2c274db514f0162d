"""What is known of DMG before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import MethodSpec
from dmg_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of DMG."""

    mask_sites: tuple[str, ...] | None = setting(
        "layers whose input is masked (default: the paper's)",
        metavar="LAYER",
        axis="--mask-sites-choices",
    )
    mask_learning_rate: float | None = setting(
        "initial rate of the masks (default: the network's)",
        above=0,
        axis="--mask-learning-rates",
    )
    siou_weight: float = setting(
        "λ_O, weight of the overlap penalty",
        0.1,
        at_least=0,
        symbol="λ_O",
        # Sec. 7.5: the paper's sweep, and its Figure 3.
        search=(0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    )
    siou_reduction: str = setting(
        "mean over pairs of domains (official code) or sum (Eq. 2)",
        "mean",
        names=lambda: ("mean", "sum"),
    )
    sparsity_weight: float = setting(
        "λ_S, weight of the masks' L1 norm (Sec. 7.2)",
        0.0,
        at_least=0,
        symbol="λ_S",
        axis="--sparsity-weights",
    )
    shared_mask: bool = setting(
        "all domains have one mask; there are no pairs then, whose overlap "
        "could be penalised, and one prediction",
        False,
    )
    domain_classifier: bool = setting(
        "learn a classifier of the source domains too, whose probabilities "
        "weight the masks' predictions by the rule weighted_ens (Sec. 3.2)",
        False,
    )


SPEC = MethodSpec(
    title="DMG",
    model="dmg_tf.methods.dmg.model:DMG",
    summary="a mask a domain on the inputs of the task network's layers",
    options=Options,
    paper="Chattopadhyay, Balaji and Hoffman, ECCV 2020",
    metrics={
        "siou": "sIoU",
        "sparsity": "sparsity",
        "domain_loss": "domain loss",
        "domain_accuracy": "domain accuracy",
    },
    in_sweeps=True,
    # Sec. 7.2: the L1 norm in place of sIoU, with the one weight that comes
    # near it.
    variants={"dmg-sparsity": "dmg:siou-weight=0,sparsity-weight=1e-5"},
    recorded_by_all=(
        "mask_sites",
        "mask_learning_rate",
        "siou_weight",
        "siou_reduction",
        "sparsity_weight",
    ),
)
