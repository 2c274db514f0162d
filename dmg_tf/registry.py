"""Names of methods, backbones and datasets, and where each one is defined.

Registering a name imports nothing, so a command line can offer and check every
name before TensorFlow is loaded.
"""

import importlib
from typing import Any

from dmg_tf.errors import unknown_name


class Registry:
    """Maps a name to an object that is imported when first asked for.

    Args:
        kind: What the names stand for, used in error messages.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._places: dict[str, str] = {}

    def register(self, name: str, place: str) -> None:
        """Adds a name.

        Args:
            name: The name users type.
            place: "package.module:attribute", imported on first use.

        Raises:
            ValueError: If the name is taken.
        """
        if name in self._places:
            raise ValueError(
                f"{self.kind} {name!r} is registered already, "
                f"at {self._places[name]}"
            )
        self._places[name] = place

    def names(self) -> tuple[str, ...]:
        """Returns the known names in the order of registration."""
        return tuple(self._places)

    def check(self, name: str) -> str:
        """Returns `name` if it is known; raises UserError otherwise."""
        if name not in self._places:
            raise unknown_name(self.kind, name, self._places)
        return name

    def __getitem__(self, name: str) -> Any:
        module, attribute = self._places[self.check(name)].split(":")
        return getattr(importlib.import_module(module), attribute)


METHODS = Registry("method")
BACKBONES = Registry("backbone")
DATASETS = Registry("dataset")
