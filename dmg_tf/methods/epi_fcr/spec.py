"""What is known of Epi-FCR before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import Batches, MethodSpec
from dmg_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of Epi-FCR."""

    epi_fcr_feature: float = setting(
        "w_f, weight of the features under another domain's classifier",
        2.0,
        at_least=0,
        symbol="w_f",
        search=(0.5, 1.0, 2.0, 4.0),
    )
    epi_fcr_classifier: float = setting(
        "w_c, weight of the classifier on another domain's features",
        0.05,
        at_least=0,
        symbol="w_c",
        search=(0.01, 0.05, 0.2, 1.0),
    )
    epi_fcr_random: float = setting(
        "w_r, weight of the features under a random classifier",
        0.1,
        at_least=0,
        symbol="w_r",
        search=(0.01, 0.05, 0.1, 0.5),
    )
    epi_fcr_warm_up: float = setting(
        "share of the run before these three count",
        # 501 of the authors' 3,001 steps.
        0.167,
        at_least=0,
        at_most=1,
    )


SPEC = MethodSpec(
    title="Epi-FCR",
    model="dmg_tf.methods.epi_fcr.model:EpiFCR",
    on_features=False,
    summary="features and classifier that work with partners of other domains",
    options=Options,
    paper="Li, Zhang, Yang, Liu, Song and Hospedales, ICCV 2019",
    batches=Batches.BY_DOMAIN,
    uses_length=True,
    metrics={
        "feature": "features, episodic",
        "classifier": "classifier, episodic",
        "random": "features, random classifier",
        "domains": "domains' own networks",
    },
)
