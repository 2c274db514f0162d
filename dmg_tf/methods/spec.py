"""What is known of a method before TensorFlow is loaded."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from dmg_tf.errors import UserError, unknown_name
from dmg_tf.registry import METHODS, imported
from dmg_tf.settings import NoSettings, flag_of, from_plain, names_of


class Batches(enum.Enum):
    """How a method wants the images of a batch to be chosen.

    ANY takes what `--sampling` says. BY_DOMAIN has equally many images of each
    source in every batch: row i is of domain i mod D, on every device.
    """

    ANY = "any"
    BY_DOMAIN = "by domain"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """A method: what it is called, asks for, and lets one set.

    Attributes:
        title: What tables call it.
        model: "module:class" of its `DomainModel`, imported on first use.
        summary: What it does, in one line.
        options: A settings class; see `dmg_tf.settings`.
        paper: Whose it is, for the documentation and the report.
        batches: How images of a batch are chosen.
        defaults: General settings that it wants. A flag wins over these, these
            over the dataset's preset.
        selects: "best": the epoch with the highest source validation accuracy
            is kept; "last": the model after `DomainModel.finish`.
        least_sources: How many source domains it needs: 1 where it does not
            tell them apart.
        on_features: Whether it learns from what a frozen feature extractor
            gave before as it would from images.
        least_epochs: 0 for what is fitted in closed form on given features.
        uses_length: Whether a step depends on the length of the run, which then
            can't be changed when it goes on.
        metrics: {name in the logs: title} of what a step reports beside loss
            and accuracy.
        metrics_by_domain: {beginning: title} of what a step reports of each
            source; in the logs it is called "<beginning>_<domain>".
        in_sweeps: Whether a sweep runs it unless told which methods to run.
        variants: {short name: METHOD:flag=value,...} that sweeps know.
        recorded_by_all: Options that `config.json` of version 0.1 has for every
            method.
    """

    title: str
    model: str
    summary: str = ""
    options: type = NoSettings
    paper: str = ""
    batches: Batches = Batches.ANY
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    selects: Literal["best", "last"] = "best"
    least_sources: int = 2
    on_features: bool = True
    least_epochs: int = 1
    uses_length: bool = False
    metrics: Mapping[str, str] = dataclasses.field(default_factory=dict)
    metrics_by_domain: Mapping[str, str] = dataclasses.field(
        default_factory=dict
    )
    in_sweeps: bool = False
    variants: Mapping[str, str] = dataclasses.field(default_factory=dict)
    recorded_by_all: tuple[str, ...] = ()

    def load(self) -> type:
        """Imports the method's model and returns its class."""
        return imported(self.model)

    def check_sources(self, method: str, sources: Sequence[str]) -> None:
        """Raises UserError if there are too few source domains.

        Args:
            method: Its name.
            sources: The domains.
        """
        if len(sources) < self.least_sources:
            able = [
                name
                for name in METHODS.names()
                if METHODS[name].least_sources <= len(sources)
            ]
            raise UserError(
                f"--method {method} needs {self.least_sources} source domains, "
                f"got {', '.join(sources)}; with {len(sources)} there are "
                f"{', '.join(able)}"
            )

    def make_options(self, values: Any = None, method: str = "") -> Any:
        """Returns the method's options.

        Args:
            values: {name: value}, an object of `options`, or None for the
                defaults.
            method: The method's name, for errors.

        Raises:
            UserError: If a name is not one of its options.
            ValueError: If they are another method's.
        """
        if isinstance(values, self.options):
            return values
        if values is not None and not isinstance(values, Mapping):
            raise ValueError(
                f"options of {method or self.title} must be a dict or "
                f"{self.options.__qualname__}, got {type(values).__name__}"
            )
        for name in values or ():
            if name not in names_of(self.options):
                raise no_option(name, method, self.options)
        return from_plain(self.options, values or {})


def owners_of(option: str) -> tuple[str, ...]:
    """Returns the methods that have an option of this name."""
    return tuple(
        method
        for method in METHODS.names()
        if option in names_of(METHODS[method].options)
    )


def no_option(name: str, method: str, options: type) -> UserError:
    """Returns the error for a name that is not one of a method's options."""
    owners = owners_of(name)
    if owners:
        return UserError(
            f"{flag_of(name)} is an option of {' and '.join(owners)}, not of "
            f"{method}"
        )
    known = names_of(options)
    if not known:
        return UserError(f"{method} has no options, got {name!r}")
    return unknown_name(f"option of {method}", name, known)
