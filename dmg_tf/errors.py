"""The one exception for what a user can mend."""


class UserError(Exception):
    """A mistake in what the user gave: arguments, files, or data.

    The message is one line that says what is wrong, what was given, and what
    would be right. Command-line programs print it alone and exit with code 2.
    """
