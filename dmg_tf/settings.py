"""Settings that are declared once.

A settings class is a frozen dataclass whose fields are made by `setting`. Its
flags, their help and checks, what a search varies and the rows of the
documentation all follow from the fields.
"""

import argparse
import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, get_args, get_origin

from dmg_tf.errors import UserError, unknown_name


@dataclasses.dataclass(frozen=True)
class LogRange:
    """All numbers between two positive ones, drawn on a log scale."""

    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What is known of a setting beside its name, type and default.

    Attributes:
        help: What it is, for `--help` and the documentation.
        names: Returns the words that it can be.
        metavar: What its value is called in `--help`.
        at_least: The smallest value.
        above: What every value is larger than.
        at_most: The largest value.
        check: Raises UserError for a value that can't be; asked in place of
            `names`, where there is more than these.
        symbol: What figures and tables call it, e.g. "λ_O".
        search: The values that a search tries unless told others.
        axis: The flag of a search that takes its values; None if a search
            can't vary it.
        group: The heading in `--help` that it comes under.
    """

    help: str
    names: Callable[[], Sequence[str]] | None = None
    metavar: str | None = None
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    check: Callable[[Any], object] | None = None
    symbol: str | None = None
    search: tuple[Any, ...] | LogRange | None = None
    axis: str | None = None
    group: str = ""


def setting(help: str, default: Any = None, **facts) -> Any:
    """Declares a field of a settings class.

    Args:
        help: What it is.
        default: Its value unless told another.
        **facts: Further attributes of `Setting`.
    """
    return dataclasses.field(
        default=default, metadata={"setting": Setting(help=help, **facts)}
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoSettings:
    """The settings of what has none."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """A setting that a search can vary.

    Attributes:
        name: The setting's.
        flag: The flag of the search that takes its values.
        kind: The type of a value: int, float or str; of a setting that holds
            several words, one word with commas.
        many: Whether the setting holds several words.
        label: What figures and tables call it.
        setting: The setting.
    """

    name: str
    flag: str
    kind: type
    many: bool
    label: str
    setting: Setting


def fields_of(settings: type) -> dict[str, dataclasses.Field]:
    """Returns {name: field} of all settings of a class, in order."""
    return {
        field.name: field
        for field in dataclasses.fields(settings)
        if "setting" in field.metadata
    }


def names_of(settings: type) -> tuple[str, ...]:
    """Returns the names of all settings of a class, in order."""
    return tuple(fields_of(settings))


def flag_of(name: str) -> str:
    """Returns the flag of a setting, e.g. "--batch-size"."""
    return "--" + name.replace("_", "-")


def type_of(field: dataclasses.Field) -> tuple[type, bool]:
    """Returns a setting's type and whether it holds several of it."""
    for kind in get_args(field.type) or (field.type,):
        if get_origin(kind) is tuple:
            return get_args(kind)[0], True
        if kind is not type(None):
            # `tuple[str, ...]` by itself has `str` among its arguments.
            return kind, get_origin(field.type) is tuple
    raise TypeError(f"the setting {field.name} has no type")


def add_flags(
    parser,
    settings: type,
    leave_out: Collection[str] = (),
    notes: Mapping[str, str] | None = None,
    groups: Mapping[str, Any] | None = None,
    given_only: bool = False,
) -> None:
    """Adds a flag for every setting of a class.

    Words are checked by `check`, which knows the nearest one.

    Args:
        parser: A parser of `argparse`, or a group of one.
        settings: The class.
        leave_out: Names of settings that get no flag.
        notes: {name: what `--help` says of the default}, where it depends.
        groups: {heading: group of the parser}; None puts all in `parser`.
        given_only: Whether parsed arguments lack what was not given, where
            they else have its default.
    """
    notes, groups = notes or {}, groups or {}
    for name, field in fields_of(settings).items():
        if name in leave_out:
            continue
        facts = field.metadata["setting"]
        where = groups.get(facts.group, parser)
        default = notes.get(name, "")
        if not default and field.default not in (None, False, ""):
            default = _text(field.default)
        text = facts.help + (f" (default: {default})" if default else "")
        options = {
            "help": text.replace("%", "%%"),
            "default": argparse.SUPPRESS if given_only else field.default,
            "dest": name,
        }
        kind, many = type_of(field)
        if kind is bool:
            where.add_argument(flag_of(name), action="store_true", **options)
            continue
        if facts.names:
            options["metavar"] = "{" + ",".join(facts.names()) + "}"
        elif facts.metavar:
            options["metavar"] = facts.metavar
        if many:
            options["nargs"] = "+"
        where.add_argument(flag_of(name), type=kind, **options)


def check(values: Any) -> None:
    """Checks the words and numbers of a settings object.

    Raises:
        UserError: With the flag, the bound and the value.
    """
    for name, field in fields_of(type(values)).items():
        value = getattr(values, name)
        if value is None:
            continue
        facts = field.metadata["setting"]
        _check_type(field, value)
        _check_range(name, facts, value)
        if facts.check:
            facts.check(value)
        elif facts.names and value not in facts.names():
            raise unknown_name(flag_of(name), value, facts.names())


_IN_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
}


def _check_type(field: dataclasses.Field, value: Any) -> None:
    """Raises UserError for a value of another type, as a file may hold it."""
    kind, many = type_of(field)
    right = (int, float) if kind is float else kind
    each = value if many and isinstance(value, tuple) else (value,)
    if many != isinstance(value, tuple) or not all(
        # To Python, true is a number too.
        isinstance(one, right) and isinstance(one, bool) == (kind is bool)
        for one in each
    ):
        words = f"a list, each {_IN_WORDS[kind]}" if many else _IN_WORDS[kind]
        raise UserError(f"{flag_of(field.name)} must be {words}, got {value!r}")


def _check_range(name: str, facts: Setting, value: Any) -> None:
    bounds = []
    if facts.above is not None:
        bounds.append((f"above {facts.above:g}", value > facts.above))
    if facts.at_least is not None:
        bounds.append((f"at least {facts.at_least:g}", value >= facts.at_least))
    if facts.at_most is not None:
        bounds.append((f"at most {facts.at_most:g}", value <= facts.at_most))
    elif bounds:
        bounds.append(("finite", value < math.inf))
    if not all(kept for _, kept in bounds):
        words = [words for words, _ in bounds if words != "finite"]
        raise UserError(
            f"{flag_of(name)} must be {' and '.join(words)}, got {value:g}"
        )


def flags_of(values: Any) -> list[str]:
    """Returns the flags that one would type for a settings object.

    What has its default is left out.
    """
    flags = []
    for name, field in fields_of(type(values)).items():
        value = getattr(values, name)
        if value == field.default:
            continue
        if isinstance(value, bool):
            flags.append(flag_of(name))
        elif isinstance(value, tuple):
            flags += [flag_of(name), *map(str, value)]
        else:
            # In one word, as a value may begin with a dash.
            flags.append(f"{flag_of(name)}={value}")
    return flags


def from_plain(settings: type, values: Mapping[str, Any]) -> Any:
    """Makes a settings object of what JSON holds: lists become tuples."""
    return settings(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
    )


def searchable(*settings: type) -> dict[str, Axis]:
    """Returns {name: axis} of all settings that a search can vary."""
    axes = {}
    for each in settings:
        for name, field in fields_of(each).items():
            facts = field.metadata["setting"]
            if facts.axis is None and facts.search is None:
                continue
            kind, many = type_of(field)
            label = facts.symbol or flag_of(name).lstrip("-").replace("-", " ")
            flag = facts.axis or f"{flag_of(name)}s"
            axes[name] = Axis(name, flag, kind, many, label, facts)
    return axes


# The columns of `rows_of`.
COLUMNS = ("flag", "what it is", "default", "range", "in a search")


def rows_of(settings: type) -> list[tuple[str, ...]]:
    """Returns what is known of each setting, under `COLUMNS`."""
    axes = searchable(settings)
    rows = []
    for name, field in fields_of(settings).items():
        facts = field.metadata["setting"]
        default = "" if field.default is None else _text(field.default)
        tries = _search_text(axes[name]) if name in axes else ""
        rows.append(
            (flag_of(name), facts.help, default, _range_text(facts), tries)
        )
    return rows


def markdown(settings: type) -> str:
    """Returns the rows of `rows_of` as a table of Markdown."""
    rows = [("`" + flag + "`", *rest) for flag, *rest in rows_of(settings)]
    return markdown_table(COLUMNS, rows)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
        for line in lines
    )


def _search_text(axis: Axis) -> str:
    """Returns the flag that takes its values, and what a search tries."""
    values = axis.setting.search
    if values is None:
        return axis.flag
    if isinstance(values, LogRange):
        return f"{axis.flag} {values.low:g}..{values.high:g}"
    words = (f"{v:g}" if isinstance(v, float) else str(v) for v in values)
    return " ".join([axis.flag, *words])


def _range_text(facts: Setting) -> str:
    if facts.names:
        return ", ".join(facts.names())
    words = [
        f"{sign} {bound:g}"
        for sign, bound in (
            (">", facts.above),
            ("≥", facts.at_least),
            ("≤", facts.at_most),
        )
        if bound is not None
    ]
    return ", ".join(words)


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


class OfAnother(argparse.Action):
    """Refuses the flag of a setting that belongs to something else.

    Args:
        owners: Who has the setting.
        here: Who has been chosen.
    """

    def __init__(self, *args, owners: Sequence[str], here: str, **kwargs):
        super().__init__(*args, nargs="*", help=argparse.SUPPRESS, **kwargs)
        self.owners, self.here = owners, here

    def __call__(self, parser, namespace, values, option_string=None):
        """Ends the program with one line."""
        parser.error(
            f"{self.option_strings[0]} is an option of "
            f"{' and '.join(self.owners)}, not of {self.here}"
        )
