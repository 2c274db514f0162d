"""The processor: how much of it this process may use, and what it can do."""

import math
import os
import pathlib
import platform

_CPUINFO = pathlib.Path("/proc/cpuinfo")
_CGROUPS = pathlib.Path("/sys/fs/cgroup")
# What TensorFlow, and libraries beside it, take their number of threads from.
_THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
)
_limited = {}  # what `limit_threads` has set
# Instructions that multiply bfloat16.
_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16"})


def cores() -> int:
    """Returns how many cores this process may use at the same time, at least 1.

    What a container's quota leaves of them counts, rounded up.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        allowed = os.cpu_count() or 1
    quota = _quota()
    return allowed if quota is None else min(allowed, max(1, math.ceil(quota)))


def limit_threads() -> None:
    """Tells TensorFlow of a container's quota, before it is imported.

    It sees the cores alone, and with a thread for each of them a process uses
    up its share early in each period and then stands still. What the user set
    is kept.
    """
    if _quota() is None:
        return
    threads = cores()
    if threads >= (os.cpu_count() or 1):
        return
    for name in _THREADS:
        if name not in os.environ:
            os.environ[name] = _limited[name] = str(threads)


def share_of_threads(parts: int) -> dict[str, str]:
    """Returns variables for one of several processes that share the cores.

    What the user set is not among them.

    Args:
        parts: How many processes.
    """
    threads = str(max(1, cores() // parts))
    given = {name: os.environ.get(name) for name in _THREADS}
    return {
        name: threads
        for name, value in given.items()
        if value in (None, _limited.get(name))
    }


def name_and_flags() -> tuple[str | None, frozenset[str] | None]:
    """Returns the processor's name and features; None for what is not known."""
    known = {}
    try:
        text = _CPUINFO.read_text("utf-8")
    except OSError:  # not Linux
        text = ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        known.setdefault(name.strip(), value.strip())
    flags = known.get("flags")
    return (
        known.get("model name") or platform.processor() or None,
        frozenset(flags.split()) if flags else None,
    )


def multiplies_bfloat16() -> bool:
    """Returns whether the processor computes with bfloat16 by itself."""
    _, flags = name_and_flags()
    return bool(_BFLOAT16.intersection(flags or ()))


def _quota() -> float | None:
    """Returns the cores' worth of time that a container has; None for all.

    Groups have it in a file of theirs, of version 2 or 1; inside a container,
    theirs is the root.
    """
    try:
        text = (_CGROUPS / "cpu.max").read_text()
    except OSError:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        try:
            text = " ".join((_CGROUPS / "cpu" / n).read_text() for n in names)
        except OSError:
            return None
    limit, period = text.split()
    return None if limit in ("max", "-1") else int(limit) / int(period)
