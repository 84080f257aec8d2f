"""What rounding does to recorded steps: how near its zero a unit must be to turn over, how far off losses may be."""

from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from dualgan.graph import Losses, State
from dualgan.watched_replay import Look, Nudges, Unit, WatchedReplay

# It is taken from members: replays whose weights are multiplied with 1 + normal(0, ROUNDING) before each step, the last
# bit of float32, give or take. An optimiser that divides gradients by their size makes more of it with each step.
ROUNDING = 1e-7
MEMBERS = 3
# How often a member's units are put back on their sides, since each may move those after it.
PUT_BACK = 4
# A loss that rounding leaves as it is may still differ in its last bit.
LAST_BIT = 1e-7
# Losses that units of the next step have a part in may be off by so many times more.
UNSETTLED = 20.0


class OutOfTries(Exception):
    """As many steps were done as may be."""


class Rounding(NamedTuple):
    """What rounding has done by the end of a step. units: for each array of units the standard deviation of each unit's

    channel, but 0 for units that it leaves as they are: dead ones, and those of an image yet empty; losses: of those in
    Steps.off, root of the mean square; after: the members' states.
    """

    units: List[Any]
    losses: Any
    after: List[State]


class Steps:
    """Doing recorded steps, and counting them. tried: how many were; known: of each step what rounding does to it."""

    def __init__(self, replay: WatchedReplay, tries: int) -> None:
        self.replay = replay
        self.tried = 0
        self.known: Dict[int, Rounding] = {}
        self._tries = tries
        self._random = np.random.RandomState(0)

    @property
    def last(self) -> int:
        return self.replay.steps

    def look(self, number: int, state: State, nudges: Nudges) -> Look:
        """Do step ``number`` from ``state``. Raises OutOfTries, as whatever does steps."""
        self._count()
        self.replay.restore(state)
        return self.replay.look(number, nudges)

    def off(self, number: int, losses: Losses) -> Any:
        """How far the losses of the step that was done just now are off, and those of the one after it."""
        found = self.replay.differences(number, losses)
        if number == self.last:
            return found
        self._count()
        return np.concatenate([found, self.replay.differences(number + 1, self.replay.step(number + 1))])

    def limits(self, number: int) -> Any:
        """How far those may be off."""
        return np.concatenate([self.replay.limits(n) for n in self._numbers(number)])

    def settled(self, number: int) -> Any:
        """Which of those no unit of a later step has a part in."""
        own, following = np.ones_like(self.replay.settled), self.replay.settled
        return np.concatenate([own, following][: len(self._numbers(number))])

    def expected(self, number: int, rounding: Rounding) -> Any:
        """How far those are off that went the recorded way; after the last step, their limits."""
        limits = self.limits(number)
        if number == self.last:
            return limits
        last_bit = LAST_BIT * np.concatenate([self.replay.sizes(n) for n in self._numbers(number)])
        found = np.maximum(rounding.losses, last_bit) * np.where(self.settled(number), 1.0, UNSETTLED)
        return np.minimum(found, limits)

    def rounding(self, number: int, base: Look, off: Any, members: List[State]) -> Rounding:
        """Of a step from ``members``, beside ``base``, whose losses are ``off``."""
        values, losses, after = [], [], []
        for member in members:
            look, nudges = self.beside(number, member, base, {})
            for unit, nudge in nudges.items():
                look.values[unit.place][unit.at] -= nudge
            values.append(look.values)
            after.append(self.replay.state())
            losses.append(self.off(number, look.losses) - off)
        units = []
        for place, value in enumerate(base.values):
            differences = np.abs([found[place] - value for found in values])
            # The median of a normal distribution is 0.67 deviations.
            deviations = np.mean(np.median(differences, axis=(1, 2, 3)), axis=0) / 0.67
            units.append(np.where(np.max(differences, axis=0) > 0, deviations, 0.0))
        return Rounding(units, np.sqrt(np.mean(np.square(losses), axis=0)), after)

    def beside(self, number: int, member: State, base: Look, nudges: Nudges) -> Tuple[Look, Nudges]:
        """Do a step from ``member`` with its units on the sides on which ``base`` has them, and what it takes."""
        given = dict(nudges)
        found = self.look(number, member, given)
        for _ in range(PUT_BACK):
            astray = _on_other_sides(found, base)
            if not astray:
                break
            for unit in astray:
                back = float(base.values[unit.place][unit.at]) - float(found.values[unit.place][unit.at])
                given[unit] = given.get(unit, 0.0) + back
            found = self.look(number, member, given)
        return found, given

    def moved(self, state: State) -> State:
        """Within rounding."""

        def moved(weight: Any) -> Any:
            return (weight * (1.0 + ROUNDING * self._random.standard_normal(weight.shape))).astype(np.float32)

        return State({name: moved(weight) for name, weight in state.weights.items()}, state.slots)

    def _numbers(self, number: int) -> List[int]:
        return [number] if number == self.last else [number, number + 1]

    def _count(self) -> None:
        if self.tried >= self._tries:
            raise OutOfTries
        self.tried += 1


def _on_other_sides(look: Look, base: Look) -> List[Unit]:
    return [
        Unit(place, tuple(int(n) for n in at))
        for place, (value, wanted) in enumerate(zip(look.values, base.values))
        for at in np.argwhere(np.sign(value) != np.sign(wanted))
    ]
