"""`python -m dmg_tf.data.service`: `dmg-tf data service`."""

import sys

from dmg_tf.commands.data_service import main
from dmg_tf.console.parser import running, started_by

if __name__ == "__main__":
    started_by(None)
    running("data service")
    sys.exit(main())
