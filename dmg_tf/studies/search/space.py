"""What a search varies: the values of some settings.

Which settings, and what is tried unless told others, follows from the fields of
`RunConfig` and from the method's own options. Nothing here needs TensorFlow, so
that a mistyped value is told at once.
"""

import argparse
import math
from collections.abc import Callable
from typing import Any

from dmg_tf.config import RunConfig
from dmg_tf.errors import UserError
from dmg_tf.registry import METHODS
from dmg_tf.settings import Axis, LogRange, OfAnother, flag_of, searchable

# Setting: its values, or a range of them.
Space = dict[str, tuple[Any, ...] | LogRange]

_KINDS = (float, str, int)


def axes_of(method: str) -> dict[str, Axis]:
    """Returns {setting: axis} of what a search with a method can vary.

    Settings with a symbol come first, then numbers, words and whole numbers. A
    seed draws values in this order, so another would draw others.
    """
    axes = searchable(RunConfig, METHODS[method].options)

    def key(axis):
        by_kind = _KINDS.index(axis.kind)
        return axis.setting.symbol is None, by_kind, axis.name

    return {axis.name: axis for axis in sorted(axes.values(), key=key)}


def add_space_flags(parser: argparse.ArgumentParser, method: str) -> None:
    """Adds a flag for the values of every setting that can be searched.

    Args:
        parser: Where to add them.
        method: Whose options can be searched; those of others are refused.
    """
    axes = axes_of(method)
    usual = [
        f"{_values_text(axis.setting.search)} for {axis.label}"
        for axis in axes.values()
        if axis.setting.search is not None
    ]
    without = f"Without any of these: {', '.join(usual)}." if usual else ""
    group = parser.add_argument_group(
        "what is searched",
        f"{without} Except for a grid, numbers may be a range too, LOW..HIGH, "
        "drawn on a log scale.",
    )
    for axis in axes.values():
        group.add_argument(
            axis.flag,
            nargs="+",
            type=_reader(axis),
            metavar="VALUE",
            help=f"values of {axis.label}"
            + (", each as in A,B" if axis.many else ""),
        )
    others: dict[str, list[str]] = {}
    for other in METHODS.names():
        for axis in searchable(METHODS[other].options).values():
            others.setdefault(axis.flag, []).append(other)
    for flag, owners in others.items():
        if method not in owners:
            parser.add_argument(
                flag,
                action=OfAnother,
                owners=owners,
                here=method,
                default=argparse.SUPPRESS,
            )


def space_from_args(args: argparse.Namespace, config: RunConfig) -> Space:
    """Returns what is searched; all values are checked.

    Args:
        args: Has each axis' values under its flag's name, and `tuner`.
        config: The fixed settings.

    Raises:
        UserError: If there is nothing to search, or a value is out of range,
            fixed and searched at once, or not of a kind that the tuner knows.
    """
    axes = axes_of(config.method)
    given = {
        name: getattr(args, axis.flag.strip("-").replace("-", "_"))
        for name, axis in axes.items()
    }
    given = {name: values for name, values in given.items() if values}
    if not given:
        given = {
            name: _listed(axis.setting.search)
            for name, axis in axes.items()
            if axis.setting.search is not None
        }
    if not given:
        flags = ", ".join(axis.flag for axis in axes.values())
        raise UserError(
            f"{config.method} has no values that a search tries by itself; "
            f"give some by {flags}"
        )
    space: Space = {
        name: _checked(axes[name], values, config, args.tuner)
        for name, values in given.items()
    }
    fixed, unset = config.to_json(), defaults_of(config)
    for name in space:
        if fixed[name] != unset[name]:
            raise UserError(
                f"{flag_of(name)} {_text(fixed[name])} fixes what the search "
                f"goes over; give {axes[name].flag} alone, or other values to "
                "search"
            )
    return space


def defaults_of(config: RunConfig) -> dict[str, Any]:
    """Returns {setting: default} of all settings of a config's method."""
    return RunConfig(method=config.method).to_json()


def count_of(space: Space) -> float:
    """Returns how many settings there are; infinite if one is a range."""
    return math.prod(
        math.inf if isinstance(values, LogRange) else len(values)
        for values in space.values()
    )


def with_values(config: RunConfig, values: dict[str, Any]) -> RunConfig:
    """Returns the settings with searched values in their positions.

    Args:
        config: The fixed settings.
        values: {setting: value}, as in a space: a setting of several words is
            one word with commas.
    """
    axes = axes_of(config.method)
    return config.replace(
        **{
            name: tuple(value.split(",")) if axes[name].many else value
            for name, value in values.items()
        }
    )


def _listed(values: tuple[Any, ...] | LogRange) -> tuple[Any, ...]:
    return (values,) if isinstance(values, LogRange) else values


def _checked(axis, values, config, tuner) -> tuple[Any, ...] | LogRange:
    ranges = [value for value in values if isinstance(value, LogRange)]
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
        if isinstance(value, LogRange):
            bounds = (value.low, value.high)
        for bound in bounds:
            try:
                with_values(config, {axis.name: bound}).check()
            except UserError as error:
                text = str(error).replace(
                    f"{flag_of(axis.name)} ", f"{axis.flag} "
                )
                raise UserError(text) from error
    return ranges[0] if ranges else values


def _reader(axis: Axis) -> Callable[[str], Any]:
    words = f"{axis.setting.metavar or 'word'}s".lower()

    def read(text: str):
        try:
            if axis.kind is float and ".." in text:
                low, high = (_finite(part) for part in text.split("..", 1))
                if not 0 < low < high:
                    raise argparse.ArgumentTypeError(
                        f"a range must rise from above 0, got {text}"
                    )
                return LogRange(low, high)
            if axis.many and not all(text.split(",")):
                raise ValueError(text)
            return _finite(text) if axis.kind is float else axis.kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no list of {words}, such as A,B"
                if axis.many
                else f"{text!r} is not a number"
            ) from error

    return read


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _text(value) -> str:
    if isinstance(value, tuple):
        return " ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _values_text(values: tuple[Any, ...] | LogRange) -> str:
    if isinstance(values, LogRange):
        return f"{values.low:g}..{values.high:g}"
    return ", ".join(map(_text, values))
