"""Methods with settings of their own, as they are written and as named.

A variant is written METHOD or METHOD:flag=value[,flag=value], with the flags of
`train.py`: `dmg:siou-weight=0.01`, `aggregate:optimizer=sgd`.
"""

import argparse
import copy
import dataclasses
import re
from typing import Any, get_args

from dmg_tf.config import RunConfig
from dmg_tf.errors import unknown_name
from dmg_tf.registry import METHODS

# What a sweep goes over by itself; no variant may set it.
SWEPT = ("target", "method", "backbone", "seed", "output")


def shorthands() -> dict[str, str]:
    """Returns {short name: variant}, the paper's own comparisons.

    `<method>-sgd` is a method under SGD (Aggregate-SGD in Tables 1, 3 and 5).
    `dmg-sparsity` has the L1 norm in place of sIoU, with the one weight that
    comes near it (Sec. 7.2).
    """
    return {
        **{f"{name}-sgd": f"{name}:optimizer=sgd" for name in METHODS.names()},
        "dmg-sparsity": "dmg:siou-weight=0,sparsity-weight=1e-5",
    }


@dataclasses.dataclass(frozen=True)
class Variant:
    """A method and the settings that it alone has.

    Attributes:
        name: How it was written.
        method: Name in `METHODS`.
        flags: Flags of `train.py`, as a command line has them.
    """

    name: str
    method: str
    flags: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The name as a part of a folder's name."""
        return re.sub(r"[^\w.=+,-]", "-", self.name)

    def settings(
        self, parser: argparse.ArgumentParser, args: argparse.Namespace
    ) -> dict[str, Any]:
        """Returns the settings of a run of this variant.

        Args:
            parser: Knows a flag for every setting.
            args: The settings that all runs share.

        Returns:
            {field of RunConfig: value}, without the swept ones.
        """
        # What a namespace has is kept, unless a flag says otherwise.
        found = parser.parse_args(list(self.flags), copy.copy(args))
        return {
            field.name: getattr(found, field.name)
            for field in dataclasses.fields(RunConfig)
            if field.name not in SWEPT
        }


def parse_variant(text: str) -> Variant:
    """Reads METHOD, METHOD:flag=value[,flag=value], or a short name.

    Raises:
        UserError: If the method or a flag is unknown.
    """
    known = shorthands()
    method, _, rest = known.get(text, text).partition(":")
    if method not in METHODS.names():
        raise unknown_name("method", text, (*METHODS.names(), *known))
    fields = {
        field.name.replace("_", "-"): field
        for field in dataclasses.fields(RunConfig)
        if field.name not in SWEPT
    }
    flags = []
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        name = name.replace("_", "-")
        if name not in fields:
            raise unknown_name(f"setting of {text}", name, fields)
        if any("tuple" in str(t) for t in get_args(fields[name].type)):
            flags += [f"--{name}", *value.split("+")]
        else:
            flags.append(f"--{name}{equals}{value}")
    return Variant(text, method, tuple(flags))
