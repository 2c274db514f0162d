"""What the weights of a run's model start from."""

import pathlib
import warnings

import keras

from dmg_tf.backbones.weights import loading as weight_files
from dmg_tf.config import RunConfig
from dmg_tf.errors import UserError


def load_initial_weights(
    model: keras.Model, config: RunConfig
) -> tuple[str | None, str | None]:
    """Loads the weights that a run's config names.

    Args:
        model: Built.
        config: Its `weights` is "none", "imagenet" or a file.

    Returns:
        The file and its SHA-256; None for fresh weights.

    Raises:
        UserError: If the file can't be had or read, or does not fit.
    """
    if config.weights == "none":
        return None, None
    if config.weights == "imagenet":
        path = weight_files.fetch_imagenet(config.backbone)
    else:
        path = pathlib.Path(config.weights)
    if weight_files.is_keras_weights(path):
        try:
            with warnings.catch_warnings():
                # Keras would leave out a part and warn.
                warnings.filterwarnings("error", "Skipping")
                model.load_weights(path)
        except Exception as error:  # HDF5 raises many kinds on damaged files
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"the weights {path} do not fit {config.method} on "
                f"{config.backbone}: {reason}"
            ) from error
    else:
        model.load_torchvision(
            weight_files.read_state_dict(path), source=str(path)
        )
    return str(path), weight_files.sha256_of(path)
