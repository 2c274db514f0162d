"""Deterministic stand-in weights and images, for checks against the reference.

Every array depends only on its name, its shape and a seed, so no weight file
has to be stored: the reference run and the test build the same arrays.

Names and layouts are torchvision's state_dict names and layouts: convolutions
are (out, in, height, width), dense layers (out, in), images (batch, channel,
height, width).
"""

import zlib

import numpy as np


def rng_for(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(name.encode()), seed])


def weight(name: str, shape: tuple, seed: int) -> np.ndarray:
    """float32 array for the state_dict entry `name` of the given shape."""
    rng = rng_for(name, seed)
    if len(shape) >= 2:
        fan_in = int(np.prod(shape[1:]))
        value = rng.normal(0.0, np.sqrt(2.0 / fan_in), shape)
    elif name.endswith("running_var"):
        value = rng.uniform(0.5, 1.5, shape)
    elif name.endswith("running_mean"):
        value = rng.normal(0.0, 0.1, shape)
    elif name.endswith("bias"):
        value = rng.normal(0.0, 0.05, shape)
    else:  # the scale of a batch normalisation
        value = rng.uniform(0.5, 1.5, shape)
    return value.astype(np.float32)


def mask_logits(layer: str, domain: str, size: int, seed: int) -> np.ndarray:
    """(size,) float32 mask parameters of one layer for one source domain."""
    return (
        rng_for(f"mask/{layer}/{domain}", seed)
        .uniform(-2.0, 2.0, size)
        .astype(np.float32)
    )


def hard_masks(
    layer: str, batch: int, size: int, step: int, seed: int
) -> np.ndarray:
    """(batch, size) float32 zeros and ones: the draw of one training step."""
    rng = rng_for(f"draw/{layer}/{step}", seed)
    return (rng.uniform(size=(batch, size)) < 0.6).astype(np.float32)


def images(batch: int, size: int, step: int, seed: int) -> np.ndarray:
    """(batch, 3, size, size) float32, already normalised."""
    return (
        rng_for(f"images/{step}", seed)
        .normal(0.0, 1.0, (batch, 3, size, size))
        .astype(np.float32)
    )


def labels(batch: int, classes: int, step: int, seed: int) -> np.ndarray:
    return rng_for(f"labels/{step}", seed).integers(0, classes, batch)


def domain_ids(batch: int, domains: int, step: int, seed: int) -> np.ndarray:
    return rng_for(f"domains/{step}", seed).integers(0, domains, batch)
