"""Scores a finished run again: `dmg-tf evaluate`."""

from dmg_tf_command import start

if __name__ == "__main__":
    start("evaluate")
