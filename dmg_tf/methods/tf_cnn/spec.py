"""What is known of TF-CNN before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import MethodSpec
from dmg_tf.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of TF-CNN."""

    tf_cnn_stages: tuple[str, ...] | None = setting(
        "stages whose kernels are factorised (default: the last ones that have "
        "dense layers and 1 x 1 convolutions alone)",
        metavar="LAYER",
    )
    tf_cnn_rank: float = setting(
        "ranks of a kernel's inputs and outputs, as a share of the smaller of "
        "both; the last layer has full rank",
        0.5,
        above=0,
        at_most=1,
        search=(0.125, 0.25, 0.5, 1.0),
    )


SPEC = MethodSpec(
    title="TF-CNN",
    model="dmg_tf.methods.tf_cnn.model:TFCNN",
    summary="kernels of all domains and a common one as a tensor of low rank",
    options=Options,
    paper="Li, Yang, Song and Hospedales, ICCV 2017",
)
