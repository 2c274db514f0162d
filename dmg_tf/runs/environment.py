"""What a number depends on besides the config: versions, devices, commit."""

import importlib
import importlib.metadata
import pathlib
import platform
import subprocess

from dmg_tf.devices import onednn, processor

_PACKAGES = ("tensorflow", "keras", "numpy", "pillow")


def describe(weights_file: str | None, weights_sha256: str | None) -> dict:
    """Returns what `environment.json` holds.

    Args:
        weights_file: Path of the initial weights, or None.
        weights_sha256: Its SHA-256, or None.
    """
    import tensorflow as tf

    return {
        "dmg_tf": importlib.import_module("dmg_tf").__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "packages": {p: importlib.metadata.version(p) for p in _PACKAGES},
        "devices": [
            f"{device.name} {_model(device)}".strip()
            for device in tf.config.list_physical_devices()
        ],
        "onednn": onednn.is_on(),
        "threads": {
            "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
            "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
        },
        "weights": {"file": weights_file, "sha256": weights_sha256},
    }


def _processor() -> dict[str, str | bool | None]:
    """Returns its name, and whether it has AVX-512; None where unknown.

    Kernels differ by it, and numbers in their last digits.
    """
    name, flags = processor.name_and_flags()
    return {
        "name": name,
        "avx512": None if flags is None else "avx512f" in flags,
    }


def _model(device) -> str:
    import tensorflow as tf

    details = tf.config.experimental.get_device_details(device)
    return details.get("device_name", "")


def _commit() -> str | None:
    """Returns the package's git commit, with "+" when files were changed.

    An installed package has none, though its folder may lie in a repository.
    """
    file = pathlib.Path(__file__)
    try:
        _, commit, changed = (
            subprocess.run(
                ["git", *arguments],
                cwd=file.parent,
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            ).stdout.strip()
            for arguments in (
                ("ls-files", "--error-unmatch", file.name),
                ("rev-parse", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no"),
            )
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")
