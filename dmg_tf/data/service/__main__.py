"""`python -m dmg_tf.data.service`: `dmg-tf data service`."""

import sys

from dmg_tf.commands.data_service import main
from dmg_tf.console.parser import called

if __name__ == "__main__":
    called("python -m dmg_tf.data.service")
    sys.exit(main())
