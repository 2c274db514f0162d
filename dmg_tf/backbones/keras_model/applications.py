"""The models of `keras.applications`, their own pixels and their weights."""

import contextlib
import os
import sys
import warnings
from pathlib import Path

import keras
import numpy as np

from dmg_tf.backbones.blocks import Backbone, NetworkSpec
from dmg_tf.backbones.cutting import nodes_of
from dmg_tf.backbones.keras_model.network import (
    backbone_of,
    drawn_from,
    entries_of,
)
from dmg_tf.backbones.keras_model.spec import KerasSpec
from dmg_tf.backbones.pixels import IMAGENET_MEAN, IMAGENET_STD
from dmg_tf.backbones.weights.download import URL_VARIABLE
from dmg_tf.backbones.weights.untrusted import one_line
from dmg_tf.errors import UserError
from dmg_tf.files import user_folder


def application(network_spec: NetworkSpec, spec: KerasSpec) -> Backbone:
    """Returns the backbone of the model of a name in `keras.applications`."""
    with drawn_from(network_spec.seed):
        model = model_of(spec, image_size=network_spec.image_size)
    return backbone_of(model, network_spec, spec)


def model_of(
    spec: KerasSpec, weights: str | None = None, image_size: int = 224
) -> keras.Model:
    """Returns a model from images as this package normalises them.

    Args:
        spec: Its `model` is a name in `keras.applications`.
        weights: None or "imagenet".
        image_size: Side of the images where the model must know it: a NASNet
            crops and pads by the size. Others take any.
    """
    side = image_size if spec.model.startswith("NASNet") else None
    make = getattr(keras.applications, spec.model)
    with warnings.catch_warnings():
        # That weights of 224 pixels are taken where the size is open.
        warnings.filterwarnings("ignore", ".*input_shape. is undefined")
        return make(
            include_top=False,
            weights=weights,
            input_tensor=own_pixels(make, side)[1],
            pooling="avg",
            **spec.arguments,
        )


def own_pixels(make, side: int | None = None):
    """Makes a model's own pixels of normalised images.

    Args:
        make: A function of `keras.applications`. The preprocessing in its
            module changes each channel by a factor and a shift, and may turn
            RGB into BGR: four pixels tell all of it.
        side: Of the images, pixels; None for any.

    Returns:
        Symbolic images [B, H, W, 3], normalised by ImageNet's statistics, and
        what `preprocess_input` makes of them, from 0 to 255.
    """
    preprocess = sys.modules[make.__module__].preprocess_input
    pixels = np.concatenate([np.zeros((1, 3)), 255.0 * np.eye(3)])
    made = preprocess(pixels.reshape(1, 4, 1, 3)).reshape(4, 3)
    shift, factors = made[0], (made[1:] - made[0]) / 255.0
    is_bgr = factors[0, 0] == 0.0
    if is_bgr:
        shift, factors = shift[::-1], factors[:, ::-1]
    factors = 255.0 * np.diag(factors)
    scale = factors * IMAGENET_STD
    offset = factors * IMAGENET_MEAN + shift
    images = x = keras.Input((side, side, 3), name="images")
    if not np.allclose([scale, offset], [[1.0] * 3, [0.0] * 3]):
        x = keras.layers.Rescaling(scale.tolist(), offset.tolist())(x)
    if is_bgr:
        x = keras.ops.flip(x, axis=-1)
    return images, x


def weights(
    spec: KerasSpec, path: Path | None = None
) -> tuple[Path, dict[str, np.ndarray]]:
    """Reads a model's weights by Keras' own code.

    Args:
        spec: The model's.
        path: A file of Keras' weights (.h5) of the model without its
            classifier; None for ImageNet's, which Keras downloads into
            `$KERAS_HOME/models`.

    Returns:
        The file, and its entries as `load_torchvision` takes them.

    Raises:
        UserError: If the file can't be had, or does not fit.
    """
    if path is None:
        with _fetching() as files:
            model = model_of(spec, "imagenet")
        path = files[-1]
    else:
        model = model_of(spec)
        try:
            model.load_weights(str(path))
        except Exception as error:  # HDF5 raises many kinds on damaged files
            raise UserError(
                f"the weights {path} do not fit {spec.model}: {one_line(error)}"
            ) from error
    _take_in_rescaling(model)
    return path, entries_of(model, spec)


@contextlib.contextmanager
def _fetching():
    """Lets Keras fetch files where this package does; yields a list of them.

    Keras gives neither the file that it takes nor a line that says what to do.
    """
    file_utils = sys.modules[keras.utils.get_file.__module__]
    own, files = file_utils.get_file, []

    def get_file(fname, origin, cache_subdir, **options):
        home = user_folder("KERAS_HOME", ".keras", ", or give --weights PATH")
        folder, _, name = origin.rpartition("/")
        folder = os.environ.get(URL_VARIABLE) or folder
        url = f"{folder.rstrip('/')}/{name}"
        target = Path(home).expanduser() / cache_subdir / fname
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            own(
                fname,
                url,
                cache_subdir=cache_subdir,
                cache_dir=str(target.parents[1]),
                **options,
            )
        except Exception as error:  # Keras raises nothing narrower
            raise UserError(
                f"cannot get ImageNet weights from {url} ({one_line(error)}); "
                f"put that file at {target}, or pass --weights PATH or "
                "--weights none"
            ) from error
        files.append(target)
        return str(target)

    file_utils.get_file = get_file
    try:
        yield files
    finally:
        file_utils.get_file = own


def _take_in_rescaling(model) -> None:
    """Takes EfficientNet's further rescaling into its normalisation.

    Keras has it with ImageNet's weights alone, behind a normalisation by
    statistics of these: (x - m) / sqrt(v) s = (x - m) / sqrt(v / s²).
    """
    made_by = {
        id(t): node.operation for node in nodes_of(model) for t in node.outputs
    }
    for node in nodes_of(model):
        before = made_by.get(id(node.input_tensors[0]))
        if isinstance(node.operation, keras.layers.Rescaling) and isinstance(
            before, keras.layers.Normalization
        ):
            scale = np.asarray(node.operation.scale, np.float32)
            before.adapt_variance.assign(before.adapt_variance / scale**2)
