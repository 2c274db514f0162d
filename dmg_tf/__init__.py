"""Domain-specific masks for generalization (DMG, ECCV 2020) in Keras.

Importing the package registers its layers and models with Keras, so that
`keras.models.load_model` knows them. Command-line programs set
`DMG_TF_LAZY = True` in their main module first: they check their arguments
before TensorFlow is loaded.
"""

import importlib
import sys

__version__ = "0.1.0"
__all__ = ["DomainMask", "build_model", "run_training"]

_PLACES = {
    "build_model": "dmg_tf.methods.build",
    "run_training": "dmg_tf.training.run",
    "DomainMask": "dmg_tf.layers.domain_mask",
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


# While Python looks for the module of `python -m dmg_tf.export`, "-m" stands in
# the arguments' first place: that is a command line too.
_LAZY = getattr(sys.modules.get("__main__"), "DMG_TF_LAZY", False) or (
    sys.argv[:1] == ["-m"]
)
if not _LAZY:
    register()
