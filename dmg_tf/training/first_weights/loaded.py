"""What the weights of a run's model start from."""

import pathlib
import warnings

import keras

from dmg_tf.backbones.spec import ByCode
from dmg_tf.backbones.weights import loading as weight_files
from dmg_tf.config import RunConfig
from dmg_tf.errors import UserError, first_line
from dmg_tf.registry import BACKBONES


def load_initial_weights(
    model: keras.Model, config: RunConfig
) -> tuple[str | None, str | None]:
    """Loads the weights that a run's config names.

    Args:
        model: Built.
        config: Its `weights` is "none", "imagenet" or a file.

    Returns:
        The file and its SHA-256; None for fresh weights. What is no file has
        a name alone.

    Raises:
        UserError: If the file can't be had or read, or does not fit.
    """
    if config.weights == "none":
        return None, None
    spec = BACKBONES[config.backbone]
    by_code = isinstance(spec.imagenet, ByCode)
    if config.weights != "imagenet":
        path = pathlib.Path(config.weights)
    elif not by_code:
        path = weight_files.fetch_imagenet(config.backbone)
    else:
        path = None
    if path and weight_files.is_keras_weights(path):
        _load_keras_weights(model, config, path)
    else:
        if by_code and (path is None or weight_files.is_hdf5(path)):
            path, entries = spec.imagenet(spec, path)
        else:
            entries = weight_files.read_state_dict(path)
        model.load_torchvision(entries, source=str(path))
    is_file = isinstance(path, pathlib.Path)
    return str(path), weight_files.sha256_of(path) if is_file else None


def _load_keras_weights(model, config, path) -> None:
    """Loads what `save_weights` of a model of the same kind wrote."""
    try:
        with warnings.catch_warnings():
            # Keras would leave out a part and warn.
            warnings.filterwarnings("error", "Skipping")
            model.load_weights(path)
    except Exception as error:  # HDF5 raises many kinds on damaged files
        raise UserError(
            f"the weights {path} do not fit {config.method} on "
            f"{config.backbone}: {first_line(error)}"
        ) from error
