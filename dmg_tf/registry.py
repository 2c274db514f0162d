"""Names of methods, backbones and datasets, and where each one is defined.

Registering a name imports nothing, so a command line can offer and check every
name before TensorFlow is loaded. Installed packages can add names by entry
points of the groups `dmg_tf.methods`, `dmg_tf.backbones`, `dmg_tf.datasets`.
"""

import contextlib
import functools
import importlib
import itertools
import os
import sys
from collections.abc import Iterator
from typing import Any

from dmg_tf.errors import UserError, unknown_name


class Registry:
    """Maps a name to an object that is imported when first asked for.

    Args:
        kind: What the names stand for, used in error messages.
        group: Group of the entry points by which packages add names; None for
            none. They are looked up once, when names are first asked for.
    """

    def __init__(self, kind: str, group: str | None = None):
        self.kind = kind
        self._group = group
        self._paths: dict[str, str] = {}
        # {name: the package that added it}
        self._packages: dict[str, str] = {}
        # {what names of a family begin with: its path}
        self._families: dict[str, str] = {}

    def register(self, name: str, path: str) -> None:
        """Adds a name.

        Args:
            name: The name users type.
            path: "package.module:attribute", imported on first use.

        Raises:
            ValueError: If the name is taken.
        """
        if name in self._paths:
            raise ValueError(
                f"{self.kind} {name!r} is registered already, "
                f"at {self._paths[name]}"
            )
        self._paths[name] = path

    def register_family(self, prefix: str, path: str) -> None:
        """Adds all names `PREFIX:NAME` of something that has many.

        They are not among `names`.

        Args:
            prefix: What the names begin with, before a colon.
            path: "package.module:attribute", imported when a name of it, or
                an unknown one, is asked for. It knows by `in` whether there is
                a NAME, gives its object by `[]`, and has some `names()`.
        """
        self._families[prefix] = path

    @contextlib.contextmanager
    def with_name(self, name: str, path: str) -> Iterator[None]:
        """Knows a name for a while, as a test wants it; as `register`."""
        self.register(name, path)
        try:
            yield
        finally:
            del self._paths[name]

    def names(self) -> tuple[str, ...]:
        """Returns the known names, those of packages behind the others.

        Raises:
            UserError: If a package adds a name that can't be.
        """
        self._add_from_packages()
        return tuple(self._paths)

    def choices(self) -> tuple[str, ...]:
        """Returns the known names, and how those of families are written."""
        return (*self.names(), *(f"{each}:NAME" for each in self._families))

    def check(self, name: str, kind: str | None = None) -> str:
        """Returns `name` if it is known; raises UserError otherwise.

        Args:
            name: The name.
            kind: What it stands for, if not what the registry's names do.
        """
        if name in self._paths or name in self.names():
            return name
        families = {
            each: imported(path) for each, path in self._families.items()
        }
        prefix, _, rest = name.partition(":")
        if prefix in families and rest in families[prefix]:
            return name
        of_families = {
            each: [f"{each}:{one}" for one in family.names()]
            for each, family in families.items()
        }
        raise unknown_name(
            kind or self.kind,
            name,
            of_families.get(prefix) or self.choices(),
            itertools.chain.from_iterable(of_families.values()),
        )

    def __getitem__(self, name: str) -> Any:
        self.check(name)
        if name not in self._paths:
            prefix, _, rest = name.partition(":")
            return imported(self._families[prefix])[rest]
        package = self._packages.get(name)
        try:
            return imported(self._paths[name])
        except Exception as error:  # it may be anything that a package raises
            if package is None:
                raise
            raise UserError(
                f"the {self.kind} {name!r} of the package {package} can't be "
                f"loaded from {self._paths[name]} ({type(error).__name__}: "
                f"{error}); mend or uninstall the package"
            ) from error

    def _add_from_packages(self) -> None:
        group, self._group = self._group, None
        for package, name, path in _entry_points(group) if group else ():
            taken = self._paths.get(name)
            if taken == path:  # found twice, as of a path that is given twice
                continue
            module, _, attribute = path.partition(":")
            if taken or not module or not attribute:
                self._group = group  # to be told at the next call as well
                what = (
                    f"which is {taken} already"
                    if taken
                    else "expected package.module:ATTRIBUTE"
                )
                raise UserError(
                    f"the package {package} adds the {self.kind} {name!r} as "
                    f"{path!r}, {what}; mend or uninstall the package"
                )
            self._paths[name] = path
            self._packages[name] = package


def imported(path: str) -> Any:
    """Imports what "package.module:attribute" stands for, and returns it."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _entry_points(group: str) -> list[tuple[str, str, str]]:
    """Returns (package, name, path) of the entry points of a group."""
    folders = _packages_with_entry_points(tuple(sys.path))
    if not folders:
        return []
    import importlib.metadata

    return [
        (package.metadata["Name"], point.name, point.value)
        for package in map(importlib.metadata.Distribution.at, folders)
        for point in package.entry_points.select(group=group)
    ]


@functools.cache
def _packages_with_entry_points(search_path: tuple[str, ...]) -> list[str]:
    """Returns the metadata folders of packages that add names of any kind.

    `importlib.metadata` would answer as well, in a tenth of a second, which a
    mistyped flag should not wait for.
    """
    metadata = []
    for folder in search_path:
        with contextlib.suppress(OSError), os.scandir(folder or ".") as entries:
            for entry in entries:
                if entry.name.endswith((".dist-info", ".egg-info")):
                    path = os.path.join(entry.path, "entry_points.txt")
                    # Most packages have no such file.
                    with contextlib.suppress(OSError), open(path, "rb") as file:
                        if b"[dmg_tf." in file.read():
                            metadata.append(entry.path)
    return metadata


def file_part(name: str) -> str:
    """Returns a name as a part of a file's name.

    One of a family has a colon, which not every disk takes, and what is behind
    it may be a path.
    """
    return name.replace(":", "-").replace("/", "-")


METHODS = Registry("method", "dmg_tf.methods")
BACKBONES = Registry("backbone", "dmg_tf.backbones")
DATASETS = Registry("dataset", "dmg_tf.datasets")
