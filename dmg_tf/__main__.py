"""`python -m dmg_tf COMMAND`: `dmg-tf COMMAND`."""

import sys

from dmg_tf.commands.main import main

if __name__ == "__main__":
    sys.exit(main(front="python -m dmg_tf"))
