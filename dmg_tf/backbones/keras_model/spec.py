"""Keras' models as the rest of the package knows them."""

import ast
import dataclasses
import functools
import importlib.util
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dmg_tf.backbones.pixels import IMAGENET_MEAN, IMAGENET_STD
from dmg_tf.backbones.spec import BackboneSpec, ByCode, Download, Package
from dmg_tf.errors import missing_extra

if TYPE_CHECKING:
    from dmg_tf.backbones.blocks import Backbone, NetworkSpec

_HERE = __name__.rpartition(".")[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class KerasSpec(BackboneSpec):
    """A functional `keras.Model`, which is cut into stages.

    Attributes:
        make: (NetworkSpec, KerasSpec) -> Backbone.
        model: What `make` makes the model by.
        arguments: What is passed to it.
        mean: See `Backbone`.
        std: See `Backbone`.
        mask_sites: See `Backbone`; none for what `from_keras` says.
    """

    model: str
    make: str = f"{_HERE}.network:network"
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    mask_sites: tuple[str, ...] = ()

    def __call__(self, network_spec: "NetworkSpec") -> "Backbone":
        """Makes the network."""
        return self.load()(network_spec, self)


def from_keras(
    model: str,
    *,
    title: str,
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
    mask_sites: tuple[str, ...] = (),
    imagenet: Download | Package | None = None,
    **arguments,
) -> BackboneSpec:
    """Makes a backbone of any functional Keras model.

    The model is cut where all its computation passes through one tensor: at
    the changes of resolution or, where there are none, into quarters. Stages
    are called `stem`, `stage1` and so on; a mean over space or tokens and the
    classifier `fc` are put behind. Its batch normalisation becomes this
    package's, and a convolution of single features a depthwise one; all other
    layers are the model's own.

    Args:
        model: "package.module:function", which is imported on first use and
            returns the model, without a classifier: from images [B, H, W, 3]
            to features [B, H, W, F], [B, T, F] or [B, F].
        title: What tables call it.
        mean: Mean of RGB in [0, 1] that images are normalised with.
        std: Standard deviation of RGB in [0, 1], likewise.
        mask_sites: Names of the stages that are masked by default; none for
            the last one, if half of the model is before it, and the classifier.
        imagenet: Where its ImageNet weights are, by the layers' names.
        **arguments: What the function takes.
    """
    return KerasSpec(
        title=title,
        model=model,
        arguments=arguments,
        mean=mean,
        std=std,
        mask_sites=mask_sites,
        imagenet=imagenet,
    )


class Applications:
    """The models of `keras.applications`, by Keras' own names."""

    def names(self) -> tuple[str, ...]:
        """Returns the models' names, without loading Keras."""
        return _application_names()

    def __contains__(self, name: str) -> bool:
        return name in self.names()

    def __getitem__(self, name: str) -> KerasSpec:
        return KerasSpec(
            title=name,
            make=f"{_HERE}.applications:application",
            model=name,
            imagenet=ByCode(f"{_HERE}.applications:weights"),
        )


@functools.cache
def _application_names():
    # Importing Keras takes seconds; what it offers is written in one file.
    found = importlib.util.find_spec("keras")
    folders = (found and found.submodule_search_locations) or ()
    return tuple(
        sorted(
            alias.name
            for folder in folders
            for line in ast.walk(_parsed(folder))
            if isinstance(line, ast.ImportFrom)
            for alias in line.names
            if alias.name[0].isupper()
        )
    )


def _parsed(folder):
    path = pathlib.Path(folder) / "applications" / "__init__.py"
    return ast.parse(path.read_text("utf-8"))


class Presets:
    """The image backbones of KerasHub, by the names of its presets."""

    def names(self) -> tuple[str, ...]:
        """Returns no name: KerasHub alone knows them, once it is loaded."""
        return ()

    def __contains__(self, name: str) -> bool:
        if importlib.util.find_spec("keras_hub") is None:
            raise missing_extra(
                f"--backbone keras_hub:{name} needs KerasHub, not installed",
                "keras-hub",
            )
        return bool(name)

    def __getitem__(self, name: str) -> KerasSpec:
        return KerasSpec(
            title=name,
            make=f"{_HERE}.hub:hub",
            model=name,
            imagenet=ByCode(f"{_HERE}.hub:weights"),
        )


APPLICATIONS = Applications()
PRESETS = Presets()
