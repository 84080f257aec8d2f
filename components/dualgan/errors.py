"""Errors, which a command line turns into one line and an exit code, and signals."""

import os
import re
import signal
import sys
import traceback
import unicodedata
from typing import Any, Callable, List, Sequence

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
# sysexits' EX_TEMPFAIL: start the same command again and it goes on where it stopped.
EXIT_INTERRUPTED = 75
# A shell's for a program that Ctrl-C ended.
EXIT_CANCELLED = 130
# A shell's for a program whose reader has gone.
EXIT_BROKEN_PIPE = 141
# What a content that nobody foresaw makes of code: it is the input that was wrong.
OF_CONTENT = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
DEBUG_FLAG, DEBUG_VARIABLE = "--debug", "DUALGAN_DEBUG"
MAX_MESSAGE = 500

# The names of parameters of an address that are secrets: of databases, and of objects that were signed for a while.
SECRET_NAME = (
    r"(?:[^\s=&;#]{0,64}(?:pass|secret|token|signature|credential|api[_-]?key|accesskey)[^\s=&;#]{0,64}|sig|pwd|key)"
)
_SECRET_PARAMETER = re.compile(rf"([?&;]{SECRET_NAME}=)[^\s&;#'\"]+", re.IGNORECASE)
# What stands before the last "@" of an address is a login if there is a ":" in it, or no "/". A path that was made of
# an address has lost one "/".
_LOGIN = re.compile(
    r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{0,64}:/{1,2})(?!/)"
    r"(?:[^\s/?#@:]{0,256}:\S{0,4096}@|(?<=[^/]//)[^\s/?#]{1,4096}@)"
)
# USER:PASSWORD@ without a scheme, where a word begins; image:tag@sha256:... is none.
_BARE_LOGIN = re.compile(
    r"(?<![^\s'\"(\[=,;])[^\s'\"(\[=,;:/@]{1,256}:(?!/)[^\s@]{1,256}(?:@[^\s@]{1,256}){0,3}@(?!sha\d+:)"
)
# Categories of Unicode: control, format, surrogate, and separators of lines and paragraphs.
_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, its type's name if it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def without_logins(text: str) -> str:
    """Return ``text`` without the logins of addresses in it, and with ``***`` for what their secret parameters say."""
    if "@" in text:
        text = _BARE_LOGIN.sub("", _LOGIN.sub(r"\1", text))
    return _SECRET_PARAMETER.sub(r"\1***", text) if "=" in text else text


def printable(text: str) -> str:
    """Return ``text`` without logins, and with everything in it escaped that a terminal obeys instead of showing it.

    Those are control characters, ones that change the direction of writing or cannot be seen, separators of lines that
    some programs know, and halves of surrogate pairs. What people write in any script stays as it is.
    """
    return "".join(map(_printable_character, without_logins(text)))


def _printable_character(character: str) -> str:
    # Joiners belong to the spelling of words and of emoji.
    is_shown = character in "\n\t\u200c\u200d" or unicodedata.category(character) not in _OBEYED
    return character if is_shown else character.encode("unicode_escape").decode("ascii")


class DualGANError(Exception):
    """An error that a user can understand and act on; ``exit_code`` is the process's. Its text never has a login."""

    exit_code = EXIT_FAILED

    def __str__(self) -> str:
        return without_logins(super().__str__())


class BadInput(DualGANError):
    """The input is wrong: the message names what, where, and what would be right."""

    exit_code = EXIT_BAD_INPUT


class Interrupted(DualGANError):
    """A termination signal came; everything is saved, the same command goes on."""

    exit_code = EXIT_INTERRUPTED


def exit_code_of(perform: Callable[[List[str]], int], arguments: Sequence[str]) -> int:
    """Return the exit code of a command that ``perform`` does; an error becomes one line on standard error.

    ``--debug`` among ``arguments``, which ``perform`` does not see, prints an error's traceback too, as DUALGAN_DEBUG=1
    does.
    """
    rest = [argument for argument in arguments if argument != DEBUG_FLAG]
    debug = len(rest) < len(arguments)
    try:
        return perform(rest)
    except KeyboardInterrupt:
        return EXIT_CANCELLED
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would complain once more when it flushes it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except Exception as error:
        if debug or os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
            print(printable(traceback.format_exc()), file=sys.stderr, end="")
        print(f"error: {printable(described(error))}", file=sys.stderr)
        if isinstance(error, DualGANError):
            return error.exit_code
        return EXIT_BAD_INPUT if isinstance(error, OF_CONTENT) else EXIT_FAILED


def warn(text: str) -> None:
    """Print a line of warning on standard error."""
    print(f"warning: {printable(text)}", file=sys.stderr, flush=True)


def described(error: Exception) -> str:
    """Say in one line what went wrong; of an error that no code of ours explains, with its type and its place."""
    message = without_logins(" ".join(line.strip() for line in str(error).splitlines() if line.strip()))
    if isinstance(error, (DualGANError, OSError)):
        return message or type(error).__name__
    if isinstance(error, MemoryError):
        return "out of memory" + (f" ({message})" if message else "")
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    kind = type(error).__name__
    return f"{kind}{place}{': ' + message[:MAX_MESSAGE] if message else ''}; {DEBUG_FLAG} shows the traceback"


def signal_name(number: int) -> str:
    """Return what signal ``number`` is called, such as SIGTERM."""
    return signal.Signals(number).name


class Termination:
    """SIGTERM, SIGHUP and Ctrl-C while a training goes on: noted, for it to stop where it can be continued.

    While ``at_once`` is set, the first signal raises Interrupted where the program is.
    """

    def __init__(self) -> None:
        self.received: List[int] = []
        self.at_once = True

    def __enter__(self) -> "Termination":
        numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            # Under nohup, a training outlives its terminal.
            numbers.append(signal.SIGHUP)
        self._previous = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: Any) -> None:
        self.received.append(number)
        if self.at_once:
            # Only the first: what it stops must be able to end.
            self.at_once = False
            raise Interrupted(f"stopped by {signal_name(number)}; the same command goes on from there")
