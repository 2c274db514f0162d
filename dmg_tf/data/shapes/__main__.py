"""`python -m dmg_tf.data.shapes`: `dmg-tf data shapes`."""

import sys

from dmg_tf.commands.shapes import main
from dmg_tf.console.parser import called

if __name__ == "__main__":
    called("python -m dmg_tf.data.shapes")
    sys.exit(main())
