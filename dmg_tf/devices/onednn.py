"""oneDNN, whose kernels compute convolutions faster on x86 processors.

TensorFlow turns them on by itself only where a processor has AVX-512 or newer
instructions, and decides when it is imported.
"""

import os
import platform
import sys
import warnings

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
_X86 = ("x86_64", "AMD64")


def turn_on() -> None:
    """Turns oneDNN on, unless the user has set the variable.

    Warns where TensorFlow was imported before and runs without.
    """
    if VARIABLE in os.environ or platform.machine() not in _X86:
        return
    if "tensorflow" not in sys.modules:
        os.environ[VARIABLE] = "1"
    elif not is_on():
        warnings.warn(
            "TensorFlow was imported before dmg_tf and runs without oneDNN, "
            "so that a step takes several times as long; import dmg_tf first, "
            f"or set {VARIABLE}=1 (0 keeps it off, without this warning)",
            stacklevel=3,
        )


def is_on() -> bool:
    """Returns whether TensorFlow, now loaded, computes with oneDNN."""
    # The public interface of TensorFlow cannot say it.
    from tensorflow.python.framework import test_util

    return test_util.IsMklEnabled()
