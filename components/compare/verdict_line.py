"""The line of a comparison's log that holds its verdict.

KFP's API gives no artifact of a run to whoever asks for it, and no figure of one; it does give the logs of its tasks.
So whoever waits for a run, and finds no verdict in MLflow, reads it there.
"""

import re
from typing import NamedTuple

from components.compare.verdict import Verdict

LINE = re.compile(
    r"compare: the verdict on (?P<candidates>.+) is (?P<verdict>pass|fail|inconclusive); it is kept at (?P<address>\S+)"
)


class LoggedVerdict(NamedTuple):
    """A verdict, and the address of the comparison's artifact."""

    verdict: Verdict
    address: str


def verdict_line(candidates: str, verdict: Verdict, address: str) -> str:
    """The line to write. ``candidates`` are names of legs, in words."""
    return f"compare: the verdict on {candidates} is {verdict}; it is kept at {address}"


def verdict_in_log(log: str) -> LoggedVerdict | None:
    """What the last such line of a task's log says; None if there is none."""
    found = list(LINE.finditer(log))
    return LoggedVerdict(Verdict(found[-1]["verdict"]), found[-1]["address"]) if found else None
