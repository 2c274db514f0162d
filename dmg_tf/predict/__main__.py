"""`python -m dmg_tf.predict`: `dmg-tf predict`."""

from dmg_tf_command import start

if __name__ == "__main__":
    start("predict")
