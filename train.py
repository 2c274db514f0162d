"""Trains on the source domains: `dmg-tf train`."""

from dmg_tf_command import start

if __name__ == "__main__":
    start("train")
