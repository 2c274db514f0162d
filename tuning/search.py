"""Searches settings with KerasTuner: `dmg-tf search`."""

import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parent.parent)

from dmg_tf_command import start  # noqa: E402

if __name__ == "__main__":
    start("search")
