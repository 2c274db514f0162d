"""The exceptions for what a user can mend."""


class UserError(Exception):
    """A mistake in what the user gave: arguments, files, or data.

    The message is one line that says what is wrong, what was given, and what
    would be right. Command-line programs print it alone and exit with
    `exit_code`.
    """

    exit_code = 2


class WorkerLost(UserError):
    """Another machine of the run is gone; starting all again mends it."""

    exit_code = 75  # "try again" in sysexits.h
