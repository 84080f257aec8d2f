"""Errors that a command line turns into one line and an exit code."""

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
# sysexits' EX_TEMPFAIL: start the same command again and it goes on where it stopped.
EXIT_INTERRUPTED = 75


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, its type's name if it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


class DualGANError(Exception):
    """What a user can understand and act on; ``exit_code`` is the process's."""

    exit_code = EXIT_FAILED


class BadInput(DualGANError):
    """The input is wrong: the message names what, where, and what would be right."""

    exit_code = EXIT_BAD_INPUT


class Interrupted(DualGANError):
    """A termination signal came; everything is saved, the same command goes on."""

    exit_code = EXIT_INTERRUPTED
