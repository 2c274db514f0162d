"""`python -m dmg_tf.demo`: `dmg-tf demo`."""

from dmg_tf_command import start

if __name__ == "__main__":
    start("demo")
