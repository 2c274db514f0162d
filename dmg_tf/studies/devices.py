"""What the runs of a sweep may be trained on."""

from dmg_tf.devices.cluster import read_cluster
from dmg_tf.errors import UserError


def check_devices(strategy: str) -> None:
    """Raises UserError if several processes would share a run.

    Args:
        strategy: As for `--strategy`.
    """
    several = strategy == "auto" and len(read_cluster().addresses) > 1
    if strategy == "multi_worker" or several:
        raise UserError(
            "each run of a sweep is trained by one process, and --strategy "
            f"{strategy} with TF_CONFIG by several; unset TF_CONFIG, or give "
            "--strategy mirrored (docs/tuning.md has sweeps by several "
            "processes)"
        )
