"""Domain-specific masks for generalization (DMG, ECCV 2020) in Keras.

Importing the package registers its layers and models with Keras, so that
`keras.models.load_model` knows them. The package's own programs check their
arguments first, before TensorFlow is loaded; see `dmg_tf_command`.
"""

import importlib
import sys

from dmg_tf.devices import onednn

# TensorFlow reads it once, when it is imported.
onednn.turn_on()

__version__ = "0.1.0"
__all__ = ["DomainMask", "build_model", "run_training"]

_PLACES = {
    "build_model": "dmg_tf.methods.build",
    "run_training": "dmg_tf.experiment",
    "DomainMask": "dmg_tf.methods.dmg.domain_mask",
}
# All that a saved model can hold.
_SAVED = (
    "dmg_tf.methods.build",
    "dmg_tf.training.optimizers",
    "dmg_tf.training.schedules",
)


def __getattr__(name):
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def register() -> None:
    """Imports all that a saved model can hold, so that Keras can load it."""
    for module in _SAVED:
        importlib.import_module(module)


def _starts_a_program() -> bool:
    """Whether a program of this package starts, which checks its arguments."""
    if "dmg_tf_command" in sys.modules:
        return True
    # While Python looks for the module of `python -m dmg_tf.export`, "-m" is
    # all that its arguments hold.
    return sys.argv[:1] == ["-m"] and any(
        word.partition(".")[0] == __name__ for word in sys.orig_argv
    )


if not _starts_a_program():
    register()
