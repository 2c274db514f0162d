"""`python -m dmg_tf.data.shapes`: `dmg-tf data shapes`."""

import sys

from dmg_tf.commands.shapes import main
from dmg_tf.console.parser import running, started_by

if __name__ == "__main__":
    started_by(None)
    running("data shapes")
    sys.exit(main())
