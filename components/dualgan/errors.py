"""Errors that a command line turns into one line and an exit code."""

import sys
from typing import Callable

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
# sysexits' EX_TEMPFAIL: start the same command again and it goes on where it stopped.
EXIT_INTERRUPTED = 75
# A shell's for a program that Ctrl-C ended.
EXIT_CANCELLED = 130


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, its type's name if it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


class DualGANError(Exception):
    """An error that a user can understand and act on; ``exit_code`` is the process's."""

    exit_code = EXIT_FAILED


class BadInput(DualGANError):
    """The input is wrong: the message names what, where, and what would be right."""

    exit_code = EXIT_BAD_INPUT


class Interrupted(DualGANError):
    """A termination signal came; everything is saved, the same command goes on."""

    exit_code = EXIT_INTERRUPTED


def exit_code_of(perform: Callable[[], int]) -> int:
    """Return the exit code of a command; an error that a user can act on becomes one line on standard error.

    Args:
        perform: Does the command's work and returns its exit code.
    """
    try:
        return perform()
    except DualGANError as error:
        code, lines = error.exit_code, str(error).splitlines()
    except OSError as error:
        code, lines = EXIT_FAILED, str(error).splitlines()
    except KeyboardInterrupt:
        return EXIT_CANCELLED
    print(f"error: {' '.join(line.strip() for line in lines)}", file=sys.stderr)
    return code
