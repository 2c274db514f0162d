"""What `--precision auto` computes in: bfloat16 where the hardware does."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from dmg_tf.devices import onednn, processor

FLOAT32, BFLOAT16 = "float32", "mixed_bfloat16"
# Where a GPU begins to compute with bfloat16: Ampere's compute capability.
_AMPERE = (8, 0)
# As the tests against the official code allow of predictions in bfloat16: what
# 8 bits of each number leave behind dozens of layers.
_TOLERANCE = 3e-2
_IMAGES = 8


def choose(
    make_model: Callable[[str], keras.Model], image_size: int
) -> tuple[str, str]:
    """Chooses the precision for a network on this machine.

    bfloat16 is taken where the devices compute with it by themselves, and where
    the network's features of noise then agree with float32's.

    Args:
        make_model: Returns a `DomainModel` of the precision given, with the
            same weights each time.
        image_size: Side of the square input, pixels.

    Returns:
        `FLOAT32` or `BFLOAT16`, and why in a few words.
    """
    reason = _why_not_native()
    if reason:
        return FLOAT32, reason
    shape = (_IMAGES, image_size, image_size, 3)
    noise = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    exact, rounded = (
        make_model(precision).embed(tf.constant(noise)).numpy()
        for precision in (FLOAT32, BFLOAT16)
    )
    error = np.abs(rounded - exact).max() / np.abs(exact).max()
    if not error <= _TOLERANCE:
        return FLOAT32, f"features in bfloat16 are off by {error:.1%}"
    return BFLOAT16, f"native here; features are off by {error:.1%}"


def _why_not_native() -> str:
    """Returns why bfloat16 would not be faster here; "" where it is."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        known = map(tf.config.experimental.get_device_details, gpus)
        if all(g.get("compute_capability", (0, 0)) >= _AMPERE for g in known):
            return ""
        return "a GPU here is older than Ampere"
    if not processor.multiplies_bfloat16():
        return "this processor has no bfloat16"
    if not onednn.is_on():
        return "oneDNN, which knows the processor's bfloat16, is off"
    return ""
