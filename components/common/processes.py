"""Processes that end with the one that started them, and signals that let it end them first."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dualgan.errors import DualGANError, signal_name

# From <sys/prctl.h>.
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
# Whoever presses Ctrl-C waits for a checkpoint to be saved. Whoever sends SIGTERM kills soon afterwards.
PATIENT_SECONDS, PROMPT_SECONDS = 30.0, 3.0


class Terminated(SystemExit):
    """Signal ``signum`` asked this process to end; ``code`` is that of a shell's child that such a signal ended."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


class Stopped(DualGANError):
    """A signal ended the work; the exit code is that of a shell's child that such a signal ended."""

    def __init__(self, signum: int, advice: str = "") -> None:
        who = "Ctrl-C" if signum == signal.SIGINT else signal_name(signum)
        super().__init__(f"stopped by {who}{advice}")
        self.exit_code = 128 + signum


@contextlib.contextmanager
def terminations_raised(*signals: int, on_first: Callable[[int], None] = lambda _: None) -> Iterator[None]:
    """Within the block, the first of ``signals`` raises Terminated in the main thread, and further ones do nothing.

    A SIGHUP that the process was started to ignore (``nohup``) stays ignored.
    """
    received: list[int] = []

    def receive(signum: int, _: object) -> None:
        received.append(signum)
        if len(received) == 1:
            on_first(signum)
            raise Terminated(signum)

    chosen = [one for one in signals if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN]
    previous = {number: signal.signal(number, receive) for number in chosen}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def terminations_said(*signals: int, advice: str = "") -> Iterator[None]:
    """Within the block, the first of ``signals`` raises Stopped, unless an inner block takes it."""
    try:
        with terminations_raised(*signals):
            yield
    except Terminated as ended:
        raise Stopped(ended.signum, advice) from None


def die_with_parent(signum: int = signal.SIGKILL) -> None:
    """Have the kernel send this process ``signum`` when the thread that started it is gone (on Linux)."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0)


@contextlib.contextmanager
def child_process(command: Sequence[str], margin: float = 0.0, **settings: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a process that never outlives this one; leaving the block by an error ends it.

    It is then asked to end with the signal that this process got, else with SIGTERM, and killed if it is still there
    after the seconds that belong to such a signal, and after ``margin`` more, for a process that waits for others
    itself. ``settings`` are Popen's: with ``start_new_session=True``, whatever the process leaves running in its
    session is killed in the end.
    """
    # After the fork it makes one call of the C library, and takes no lock.
    process = subprocess.Popen(command, preexec_fn=die_with_parent, **settings)  # noqa: PLW1509
    try:
        yield process
    except BaseException as error:
        is_ctrl_c = isinstance(error, KeyboardInterrupt) or getattr(error, "signum", None) == signal.SIGINT
        asked = signal.SIGINT if is_ctrl_c else signal.SIGTERM
        process.send_signal(asked)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ending_seconds(asked) + margin)
        raise
    finally:
        if settings.get("start_new_session"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


def ending_seconds(signum: int) -> float:
    """Return how long a process may take to end after ``signum``."""
    return PATIENT_SECONDS if signum == signal.SIGINT else PROMPT_SECONDS


def exit_reason(exit_code: int, last_words: str = "") -> str:
    """Say in words how a process failed; the exit code of a signal is negative, or 128 and its number."""
    number = -exit_code if exit_code < 0 else exit_code - 128
    if number == signal.SIGKILL:
        return "killed by SIGKILL, out of memory?"
    if number in signal.valid_signals():
        killed = f"killed by {signal.Signals(number).name} ({signal.strsignal(number)})"
        return f"{killed}: {last_words}" if last_words else killed
    return last_words or f"exit code {exit_code}, no reason given"
