"""The exceptions for what a user can mend."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what the user gave: arguments, files, or data.

    The message is one line that says what is wrong, what was given, and what
    would be right. Command-line programs print it alone and exit with
    `exit_code`.
    """

    exit_code = 2


def missing_extra(what: str, extra: str) -> UserError:
    """Returns the error for a part of this package that is not installed.

    Args:
        what: What needs it, and what is missing.
        extra: The extra that brings it, as `pyproject.toml` calls it.
    """
    return UserError(f'{what}: pip install "dmg-tf[{extra}]"')


class InUse(UserError):
    """Another process writes there."""


class DamagedFile(UserError):
    """A file is not as it was written."""


class WorkerLost(UserError):
    """Another machine of the run is gone; starting all again mends it."""

    exit_code = 75  # "try again" in sysexits.h


def first_line(error: BaseException) -> str:
    """Returns what a library's exception says first, or its name."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def unknown_name(
    kind: str, name: str, known: Iterable[str], more: Iterable[str] = ()
) -> UserError:
    """Returns the error for a name that is not among the known ones.

    Args:
        kind: What the name stands for, e.g. "backbone".
        name: The name that was given.
        known: The names that would be right.
        more: Further ones, too many to list.

    Returns:
        UserError, to be raised, with the known names and the nearest one.
    """
    known = list(known)
    nearest = difflib.get_close_matches(
        str(name), [*known, *more], n=1, cutoff=0.5
    )
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return UserError(
        f"unknown {kind} {name!r}; known: {', '.join(known)}.{hint}"
    )
