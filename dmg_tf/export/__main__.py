"""`python -m dmg_tf.export`: `dmg-tf export`."""

from dmg_tf_command import start

if __name__ == "__main__":
    start("export")
