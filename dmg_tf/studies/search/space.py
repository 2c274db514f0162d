"""What a search varies: the values of some settings of `RunConfig`.

Nothing here needs TensorFlow, so that a mistyped value is told at once.
"""

import argparse
import dataclasses
import math
from typing import Any

from dmg_tf.config import RunConfig
from dmg_tf.errors import UserError

# Sec. 7.5: the paper's sweep, and its Figure 3.
PAPER_SIOU_WEIGHTS = (0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@dataclasses.dataclass(frozen=True)
class Axis:
    """A setting that can be searched.

    Attributes:
        flag: The flag that takes its values.
        kind: Their type; sites of masks come as one word, "layer4,fc".
        help: What it is.
    """

    flag: str
    kind: type
    help: str


# Field of `RunConfig`: its axis.
AXES = {
    "siou_weight": Axis("--siou-weights", float, "values of λ_O"),
    "sparsity_weight": Axis("--sparsity-weights", float, "values of λ_S"),
    "learning_rate": Axis("--learning-rates", float, "rates of the network"),
    "mask_learning_rate": Axis(
        "--mask-learning-rates", float, "rates of the masks"
    ),
    "weight_decay": Axis("--weight-decays", float, "weight decays"),
    "mask_sites": Axis(
        "--mask-sites-choices",
        str,
        "sets of masked layers, as in layer4,fc layer3,layer4,fc",
    ),
    "batch_size": Axis("--batch-sizes", int, "images a step"),
}


@dataclasses.dataclass(frozen=True)
class Range:
    """All numbers between two positive ones, drawn on a log scale."""

    low: float
    high: float


# Field of `RunConfig`: its values, or a range of them.
Space = dict[str, tuple[Any, ...] | Range]


def add_space_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for the values of every setting that can be searched."""
    group = parser.add_argument_group(
        "what is searched",
        "Without any of these: the paper's values of λ_O, "
        f"{', '.join(f'{value:g}' for value in PAPER_SIOU_WEIGHTS)}. Except "
        "for a grid, numbers may be a range too, LOW..HIGH, drawn on a log "
        "scale.",
    )
    for axis in AXES.values():
        group.add_argument(
            axis.flag,
            nargs="+",
            type=_reader(axis.kind),
            metavar="VALUE",
            help=axis.help,
        )


def space_from_args(args: argparse.Namespace, config: RunConfig) -> Space:
    """Returns what is searched; all values are checked.

    Args:
        args: Has each axis' values under its flag's name, and `tuner`.
        config: The fixed settings.

    Raises:
        UserError: If a value is out of range, fixed and searched at once, or
            not of a kind that the tuner knows.
    """
    space: Space = {}
    for name, axis in AXES.items():
        values = getattr(args, axis.flag.strip("-").replace("-", "_"))
        if values is not None:
            space[name] = _checked(axis, name, values, config, args.tuner)
    if not space:
        space = {"siou_weight": PAPER_SIOU_WEIGHTS}
    for name in space:
        fixed = getattr(config, name)
        if fixed != getattr(RunConfig, name):  # the default
            raise UserError(
                f"{flag_of(name)} {_text(fixed)} fixes what the search goes "
                f"over; give {AXES[name].flag} alone, or other values to search"
            )
    return space


def count_of(space: Space) -> float:
    """Returns how many settings there are; infinite if one is a range."""
    return math.prod(
        math.inf if isinstance(values, Range) else len(values)
        for values in space.values()
    )


def with_values(config: RunConfig, values: dict[str, Any]) -> RunConfig:
    """Returns the settings with searched values in their places.

    Args:
        config: The fixed settings.
        values: {field: value}, as in a space.
    """
    changes = {
        name: tuple(value.split(",")) if name == "mask_sites" else value
        for name, value in values.items()
    }
    return dataclasses.replace(config, **changes)


def flag_of(name: str) -> str:
    """Returns the flag of `train.py` for a setting."""
    return "--" + name.replace("_", "-")


def _checked(axis, name, values, config, tuner) -> tuple[Any, ...] | Range:
    ranges = [value for value in values if isinstance(value, Range)]
    if ranges and len(values) > 1:
        raise UserError(f"{axis.flag} takes one range or a list of values")
    if ranges and tuner == "grid":
        raise UserError(
            f"a grid needs single values of {axis.flag}; give them, or "
            "--tuner random"
        )
    values = tuple(dict.fromkeys(values))
    for value in values:
        bounds = (value,)
        if isinstance(value, Range):
            bounds = (value.low, value.high)
        for bound in bounds:
            try:
                with_values(config, {name: bound}).check()
            except UserError as error:
                text = str(error).replace(f"{flag_of(name)} ", f"{axis.flag} ")
                raise UserError(text) from error
    return ranges[0] if ranges else values


def _reader(kind: type):
    def read(text: str):
        try:
            if kind is float and ".." in text:
                low, high = (_finite(part) for part in text.split("..", 1))
                if not 0 < low < high:
                    raise argparse.ArgumentTypeError(
                        f"a range must rise from above 0, got {text}"
                    )
                return Range(low, high)
            return _finite(text) if kind is float else _word(kind, text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number"
                if kind is not str
                else f"{text!r} is no list of layers, such as layer4,fc"
            ) from error

    return read


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _word(kind, text):
    if kind is str and not all(text.split(",")):
        raise ValueError(text)
    return kind(text)


def _text(value) -> str:
    return " ".join(value) if isinstance(value, tuple) else f"{value:g}"
