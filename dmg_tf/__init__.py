"""Domain-specific masks for generalization (DMG, ECCV 2020) in Keras.

Importing the package registers its layers and models with Keras, so that
`keras.models.load_model` knows them. The package's own programs check their
arguments first, before TensorFlow is loaded; see `dmg_tf_command`.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from dmg_tf.devices import onednn, processor

if TYPE_CHECKING:  # what editors and type checkers see; see `__getattr__`
    from dmg_tf.config import RunConfig
    from dmg_tf.experiment import run_training
    from dmg_tf.methods.build import build_model
    from dmg_tf.methods.dmg.domain_mask import DomainMask
    from dmg_tf.predict.loaded import load

# TensorFlow reads these once, when it is imported.
onednn.turn_on()
processor.limit_threads()

__version__ = "0.2.0"
__all__ = ["DomainMask", "RunConfig", "build_model", "load", "run_training"]

_PLACES = {
    "DomainMask": "dmg_tf.methods.dmg.domain_mask",
    "RunConfig": "dmg_tf.config",
    "build_model": "dmg_tf.methods.build",
    "load": "dmg_tf.predict.loaded",
    "run_training": "dmg_tf.experiment",
}
# All that a saved model can hold.
_SAVED = (
    "dmg_tf.methods.build",
    "dmg_tf.methods.smoothed_labels",
    "dmg_tf.training.optimizers",
    "dmg_tf.training.schedules",
)


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]


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
