"""Recorded steps followed within rounding: with single units turned over that are as near their zero as rounding.

A step passes half a million units whose slope jumps at zero (rectifiers, and the pixels of an L1 loss). In most steps
some are so near it that rounding decides on which side they fall. From there two correct implementations part for good:
one such unit puts the next losses out of their bounds. So a replay that leaves the bounds says little, while one that
stays within them with some of these units on the other side says as much as if there were no rounding. A wrong gradient
has no such path: what units can do is in steps, a fault is not one of them.

Which units are right shows in the losses: with them they are off by what rounding does, a thousandth of a bound in the
first steps, and one unit that is missing or too many is worth ten to a thousand times as much.
"""

from math import log
from typing import Iterator, List, NamedTuple, Optional

from dualgan.graph import State
from dualgan.rounding import MEMBERS, OutOfTries, Steps
from dualgan.turning_over import CLOSE, StepWays, Way
from dualgan.watched_replay import WatchedReplay

# With a way that is close a step is as good as done: others are looked for beside it so many times less often.
DONE = 8
# How many times as often it is gone on from a way as from the next best of the same step.
RANKED = 3
# From a way that is not close it is gone on less often: by its distance to this power.
FARTHER = 1.5


class Shadow(NamedTuple):
    """What was found. path: a way for each step, or None; followed: how many steps the longest stays within the bounds;

    tried: how many steps were done to find it.
    """

    path: Optional[List[Way]]
    followed: int
    tried: int


def follow(replay: WatchedReplay, tries: int) -> Shadow:
    """Look for a path that stays within every bound, and do up to ``tries`` steps for it."""
    steps = Steps(replay, tries)
    followed = 0
    forks = [_Fork(steps, 1, replay.initial)]
    try:
        while forks:
            fork = min(forks, key=lambda fork: (fork.turn(), -fork.number))
            way = fork.grow()
            if way is None:
                forks.remove(fork)
            elif way.excess <= 1.0:
                followed = max(followed, fork.number)
                if fork.number == steps.last:
                    return Shadow(fork.path() + [way], followed, steps.tried)
                forks.append(_Fork(steps, fork.number + 1, way.after, _Origin(fork, way)))
    except OutOfTries:
        pass
    return Shadow(None, followed, steps.tried)


class _Origin(NamedTuple):
    """The way after which a step is done, and the step before it."""

    fork: "_Fork"
    way: Way


class _Fork:
    """A step from one state, whose ways are found one after the other."""

    def __init__(self, steps: Steps, number: int, state: State, origin: Optional[_Origin] = None) -> None:
        self.number = number
        self._steps = steps
        self._state = state
        self._origin = origin
        self._step: Optional[StepWays] = None
        self._found = self._ways()

    def grow(self) -> Optional[Way]:
        """Find one more way; None where there is none."""
        return next(self._found, None)

    def path(self) -> List[Way]:
        """The ways that lead here."""
        return self._origin.fork.path() + [self._origin.way] if self._origin else []

    def turn(self) -> float:
        """The fork with the least has the next turn."""
        ways = self._step.ways if self._step else []
        if not ways:
            return self._cost()
        nearest = min(way.distance for way in ways)
        # Where the right unit is missing a step is far off as well, so that this must not weigh much.
        seldom = DONE if nearest <= CLOSE else 1.0 + log(nearest / CLOSE)
        return (len(ways) + 1) * self._cost() * seldom

    def members_after(self, way: Way) -> List[State]:
        """Where rounding may have led after ``way``."""
        assert self._step, "a way was found here"
        return self._step.members_after(way)

    def _ways(self) -> Iterator[Way]:
        self._step = StepWays(self._steps, self.number, self._state, self._members)
        yield from self._step.found()

    def _members(self) -> List[State]:
        if self._origin is None:
            return [self._state] * MEMBERS
        return self._origin.fork.members_after(self._origin.way)

    def _cost(self) -> float:
        """How much less a turn here is worth for the ways that lead here."""
        if self._origin is None:
            return 1.0
        fork, way = self._origin
        return float(fork._cost() * RANKED ** fork._rank(way) * (max(CLOSE, way.distance) / CLOSE) ** FARTHER)

    def _rank(self, way: Way) -> int:
        """How many ways found here are better: closer, where a unit turned over counts as one of distance, or as close

        and found before.
        """
        assert self._step, "a way was found here"
        ranked = sorted(
            (other for other in self._step.ways if other.excess <= 1.0),
            key=lambda other: other.distance + len(other.turns),
        )
        return next(place for place, other in enumerate(ranked) if other is way)
