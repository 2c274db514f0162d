"""`dmg-tf data get`, `dmg-tf data shapes` and `dmg-tf data service`."""

import importlib
import sys

from dmg_tf.console.parser import command, program, running
from dmg_tf.console.printable import say
from dmg_tf.errors import unknown_name

_PARTS = {"get": "get_data", "shapes": "shapes", "service": "data_service"}
_USAGE = """\
usage: {} {{get,shapes,service}} ...

  get      download a published dataset, check it and unpack it
  shapes   draw the built-in dataset into a folder
  service  start a part of a tf.data service, which prepares images"""


@program()
def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        say(_USAGE.format(command("data")))
        return 0 if argv else 2
    part, *rest = argv
    if part not in _PARTS:
        raise unknown_name("part of dmg-tf data", part, _PARTS)
    running(f"data {part}")
    module = importlib.import_module(f"dmg_tf.commands.{_PARTS[part]}")
    return module.main(rest)
