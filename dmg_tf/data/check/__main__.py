"""`python -m dmg_tf.data.check`: `dmg-tf check`."""

from dmg_tf_command import start

if __name__ == "__main__":
    start("check")
