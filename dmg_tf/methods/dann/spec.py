"""What is known of DANN before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import MethodSpec
from dmg_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of DANN."""

    dann_weight: float = setting(
        "weight of the domain classifier's loss",
        1.0,
        at_least=0,
        axis="--dann-weights",
    )
    dann_reversal: float = setting(
        "greatest strength λ of the reversed gradient",
        1.0,
        at_least=0,
        symbol="λ",
        search=(0.1, 0.3, 1.0, 3.0),
    )
    dann_schedule: str = setting(
        "λ grows from 0 as 2 / (1 + exp(-10 p)) - 1, p being the share of the "
        "run that is done, or is constant",
        "ramp",
        names=lambda: ("ramp", "constant"),
    )
    dann_update: str = setting(
        "network and domain classifier take one joint step, or one after the "
        "other, each with an optimiser of its own",
        "joint",
        names=lambda: ("joint", "alternating"),
    )
    dann_gradient_penalty: float = setting(
        "weight of the squared gradient of the domain classifier's loss by "
        "the features",
        0.0,
        at_least=0,
        axis="--dann-gradient-penalties",
    )
    dann_width: int = setting(
        "units of each hidden layer of the domain classifier", 256, at_least=1
    )
    dann_layers: int = setting(
        "hidden layers of the domain classifier", 2, at_least=0
    )
    dann_rate_ratio: float = setting(
        "rate of the domain classifier as a multiple of the network's",
        1.0,
        above=0,
        axis="--dann-rate-ratios",
    )


SPEC = MethodSpec(
    title="DANN",
    model="dmg_tf.methods.dann.model:DANN",
    summary="features in which a classifier can't tell the domains apart",
    options=Options,
    paper="Ganin and Lempitsky, ICML 2015; Ganin et al., JMLR 2016",
    uses_length=True,
    metrics={
        "domain_loss": "domain loss",
        "gradient_penalty": "gradient penalty",
        "domain_accuracy": "domain accuracy",
        "reversal": "reversal",
    },
)
