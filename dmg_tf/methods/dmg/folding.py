"""Mask-Ens as one plain network: the mean mask brought into the weights."""

import keras
import numpy as np

from dmg_tf.backbones.cutting import readers
from dmg_tf.errors import UserError

# Layers that multiply each feature of their input by weights of its own, the
# feature being the last axis but one of `kernel`.
_FOLDABLE = (
    keras.layers.Dense,
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
)


def folded_kernels(model) -> dict[int, np.ndarray]:
    """Multiplies the mean soft masks into the kernels that they scale.

    Paper: Sec. 7.3 (Mask-Ens). A mask scales features, and a linear layer's
    output is the same when its weights are scaled instead. Every layer that
    reads the masked features is changed: a residual block's first convolution
    and the convolution of its shortcut.

    Args:
        model: A built `DMG`; it is not changed.

    Returns:
        {id of the kernel's variable: float32 array of the kernel's shape}.

    Raises:
        UserError: If something else than a linear layer reads the masked
            features, such as a shortcut without weights.
    """
    stages = {stage.name: stage for stage in model.task_network.stages}
    kernels = {}
    for site, mask in model.domain_masks.items():
        probs = mask.mask_probs.numpy().astype(np.float64)
        scale = probs.mean(axis=0)  # [F]
        for layer in _readers(stages[site]):
            if not isinstance(layer, _FOLDABLE) or _is_grouped(layer):
                raise UserError(
                    f"the mask at {site!r} cannot be folded: "
                    f"{type(layer).__name__} {layer.name!r} takes the masked "
                    "features past the weights; export it without --fold"
                )
            kernel = layer.kernel.numpy() * scale[:, np.newaxis]
            kernels[id(layer.kernel)] = kernel.astype(np.float32)
    return kernels


def _readers(stage) -> list[keras.layers.Layer]:
    """Returns the layers that take a stage's input."""
    if not isinstance(stage, keras.Model):
        return [stage]
    return readers(stage, stage.inputs[0])


def _is_grouped(layer) -> bool:
    # Each group reads a part of the features alone, and the kernel's axis is
    # as short. A depthwise convolution's kernel has all of them.
    return isinstance(layer, keras.layers.Conv2D) and layer.groups > 1
