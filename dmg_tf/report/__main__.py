"""`python -m dmg_tf.report`: `dmg-tf report`."""

from dmg_tf_command import start

if __name__ == "__main__":
    start("report")
