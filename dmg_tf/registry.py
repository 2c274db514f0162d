"""Names of methods, backbones and datasets, and where each one is defined.

Registering a name imports nothing, so a command line can offer and check every
name before TensorFlow is loaded.
"""

import difflib
import importlib
from typing import Any

from dmg_tf.errors import UserError


def unknown_name(kind: str, name: str, known) -> UserError:
    """Returns the error for a name that is not among the known ones.

    Args:
        kind: What the name stands for, e.g. "backbone".
        name: The name that was given.
        known: The names that would be right.

    Returns:
        UserError, to be raised, with the known names and the nearest one.
    """
    known = list(known)
    nearest = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return UserError(
        f"unknown {kind} {name!r}; known: {', '.join(known)}.{hint}"
    )


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
