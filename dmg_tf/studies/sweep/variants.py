"""Methods with settings of their own, as they are written and as named.

A variant is written METHOD or METHOD:flag=value[,flag=value], with the flags of
`dmg-tf train`: those of all methods, such as `optimizer=sgd`, and the method's
own options.
"""

import argparse
import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from dmg_tf.config import GENERAL, RunConfig
from dmg_tf.console.parser import OneLineParser
from dmg_tf.errors import unknown_name
from dmg_tf.flags import add_config_flags, add_refusals
from dmg_tf.methods.spec import no_option, owners_of
from dmg_tf.registry import METHODS
from dmg_tf.settings import add_flags, fields_of, flag_of, names_of, type_of

# Stands for every method.
ALL = "all"
# What a sweep goes over by itself; no variant may set it.
SWEPT = ("target", "method", "backbone", "seed", "output")


def shorthands() -> dict[str, str]:
    """Returns {short name: variant}, the paper's own comparisons.

    `<method>-sgd` is a method under SGD (Aggregate-SGD in Tables 1, 3 and 5).
    Further ones are a method's own (`MethodSpec.variants`).
    """
    known = {f"{name}-sgd": f"{name}:optimizer=sgd" for name in METHODS.names()}
    return {**known, **own_shorthands()}


def own_shorthands() -> dict[str, str]:
    """Returns {short name: variant} that methods have of their own."""
    return {
        short: variant
        for name in METHODS.names()
        for short, variant in METHODS[name].variants.items()
    }


def written_out(texts: Sequence[str]) -> list[str]:
    """Returns variants as they are written, each once; "all" is all methods."""
    methods = [
        name
        for text in texts
        for name in (METHODS.names() if text == ALL else (text,))
    ]
    return list(dict.fromkeys(methods))


def default_methods() -> list[str]:
    """Returns what a sweep runs unless told which methods to run."""
    return [name for name in METHODS.names() if METHODS[name].in_sweeps]


@dataclasses.dataclass(frozen=True)
class Variant:
    """A method and the settings that it alone has.

    Attributes:
        name: How it was written.
        method: Name in `METHODS`.
        flags: Flags of `dmg-tf train`, as a command line has them.
    """

    name: str
    method: str
    flags: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The name as a part of a folder's name."""
        return re.sub(r"[^\w.=+,-]", "-", self.name)

    def settings(self, args: argparse.Namespace) -> dict[str, Any]:
        """Returns the settings of a run of this variant.

        Args:
            args: The settings that all runs share. An option is used where the
                method has it.

        Returns:
            {setting: value}, the method's options among them, without the
            swept ones.
        """
        names = _settings_of(self.method)
        shared = {n: getattr(args, n) for n in names if hasattr(args, n)}
        parser = OneLineParser()
        add_config_flags(parser, self.method, leave_out=SWEPT)
        # What a namespace has is kept, unless a flag says otherwise.
        parsed = parser.parse_args(
            list(self.flags), argparse.Namespace(**shared)
        )
        return {name: getattr(parsed, name) for name in names}


def parse_variant(text: str) -> Variant:
    """Reads METHOD, METHOD:flag=value[,flag=value], or a short name.

    Raises:
        UserError: If the method or a flag is unknown, or another method's.
    """
    known = shorthands()
    method, _, rest = known.get(text, text).partition(":")
    if method not in METHODS.names():
        raise unknown_name("method", text, (*METHODS.names(), ALL, *known))
    fields = _settings_of(method)
    flags = []
    for part in filter(None, rest.split(",")):
        flag, equals, value = part.partition("=")
        name = flag.replace("-", "_")
        if name not in fields and owners_of(name):
            raise no_option(name, method, METHODS[method].options)
        if name not in fields:
            words = [field.replace("_", "-") for field in fields]
            raise unknown_name(f"setting of {text}", flag, words)
        if type_of(fields[name])[1]:
            flags += [flag_of(name), *value.split("+")]
        else:
            flags.append(f"{flag_of(name)}{equals}{value}")
    return Variant(text, method, tuple(flags))


def _settings_of(method: str) -> dict[str, dataclasses.Field]:
    """Returns {name: field} of what a variant of a method may set."""
    general = fields_of(RunConfig)
    return {
        **{name: general[name] for name in GENERAL if name not in SWEPT},
        **fields_of(METHODS[method].options),
    }


def methods_of(argv: Sequence[str]) -> list[str]:
    """Returns the methods that a sweep's command line names, each once.

    They are read before the rest is parsed, as flags depend on them.

    Raises:
        UserError: If one is unknown.
    """
    parser = argparse.ArgumentParser(
        add_help=False, exit_on_error=False, allow_abbrev=False
    )
    parser.add_argument("--methods", nargs="+", default=default_methods())
    try:
        texts = parser.parse_known_args(list(argv))[0].methods
    except argparse.ArgumentError:  # "--methods" without a name behind it
        texts = default_methods()
    methods = (parse_variant(text).method for text in written_out(texts))
    return list(dict.fromkeys(methods))


def add_option_flags(
    parser: argparse.ArgumentParser, methods: Sequence[str]
) -> None:
    """Adds a flag for each option of some methods; refuses those of others.

    Parsed arguments lack what was not given: methods that share an option may
    differ in its default.
    """
    added: set[str] = set()
    for method in methods:
        options = METHODS[method].options
        if not added.issuperset(names_of(options)):
            add_flags(
                parser.add_argument_group(f"options of {method}"),
                options,
                leave_out=added,
                given_only=True,
            )
        added.update(names_of(options))
    add_refusals(parser, methods)
