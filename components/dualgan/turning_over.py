"""The ways to do one recorded step: as it is, and with units turned over that are as near their zero as rounding."""

from itertools import combinations
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Set, Tuple

import numpy as np

from dualgan.golden_replay import Check, excess
from dualgan.graph import Losses, State
from dualgan.rounding import Steps
from dualgan.watched_replay import Look, Nudges, Unit

# At no more than this distance a way's units are most likely right, and nearer says no more.
CLOSE = 4.0
# How near its zero a unit is that may turn over, in standard deviations of what rounding does to it.
NEAR = 8.0
# The nearest of them, from one state.
MOST_UNITS = 48
# By so much of its distance from zero, so that as little else as may be moves with it.
OVER = 1.01
# How many of them are turned over one by one before the losses are asked which to turn over together.
TOGETHER_AFTER = 4
MOST_TOGETHER = 3
# A way at so much of its base's distance is gone on from at once.
BETTER = 0.6
# A unit that takes so many others along is early in the step; what is near zero after it must be looked at anew.
BRANCHING = 3


class Turn(NamedTuple):
    """A unit put on another side of its zero, or where that is a side of its own, on it. side: its sign; nudge: what is

    added to it.
    """

    unit: Unit
    side: int
    nudge: float


class Way(NamedTuple):
    """One way to do a step. turns: the units turned over; after: the state that it leads to; excess: the largest error

    of the step's losses, of those of the next one that are settled by then, and of the translations after the last, in
    units of its bound; off: how far the losses of the step and of the next are off, in units of what is expected of the
    right way, or after the last step of a bound's CLOSE-th part; distance: the largest of them, translations included.
    """

    turns: Tuple[Turn, ...]
    losses: Losses
    after: State
    translations: Tuple[Check, ...]
    excess: float
    off: Any
    distance: float

    @property
    def nudges(self) -> Nudges:
        return _nudges(self.turns)


class _Branch:
    """Ways of a step that have a unit turned over which moves others: they have others near their zero.

    ways: with how many units each turns over; depth: how many such units; farther: how many times as far it is as the

    step as it is; taken: how many ways were.
    """

    def __init__(self, ways: Iterator[Tuple[Way, int]], depth: int, farther: float) -> None:
        self.ways = ways
        self.depth = depth
        self.taken = 0
        self._farther = farther

    def turn(self) -> float:
        """The branch with the least has the next turn."""
        return float((self.taken + 1) * 3**self.depth * max(1.0, self._farther))


class StepWays:
    """The ways to do one step from one state, found one after the other. ways: those found so far."""

    def __init__(self, steps: Steps, number: int, state: State, members: Callable[[], List[State]]) -> None:
        """members: of what rounding has done, before the step. They cost many steps, and what they say of one state is

        near enough for the others of the same step: so only the first has them, and those that are gone on from.
        """
        self.number = number
        self.ways: List[Way] = []
        self._steps = steps
        self._state = state
        self._patterns: Set[int] = set()
        self._tried: Set[Any] = set()
        look = steps.look(number, state, {})
        after = steps.replay.state()
        off = steps.off(number, look.losses)
        self._sides = _sides(look)
        self._members_before = members
        self._members: Optional[List[State]] = None
        self._first = number not in steps.known
        if self._first:
            steps.known[number] = steps.rounding(number, look, off, self._moved_members())
        self._rounding = steps.known[number]
        self._expected = steps.expected(number, self._rounding)
        self._patterns.add(_pattern(self._sides))
        self._add(look.losses, (), after, off)

    def members_after(self, way: Way) -> List[State]:
        """Where the members are after ``way``."""
        if self._first and not way.turns:
            return self._rounding.after
        base = self._steps.look(self.number, self._state, way.nudges)
        after = []
        for member in self._moved_members():
            self._steps.beside(self.number, member, base, way.nudges)
            after.append(self._steps.replay.state())
        return after

    def _moved_members(self) -> List[State]:
        if self._members is None:
            self._members = [self._steps.moved(member) for member in self._members_before()]
        return self._members

    def found(self) -> Iterator[Way]:
        """First the step as it is, then with units turned over, in every branch of the step by turns."""
        first = self.ways[0]
        yield first
        branches = [_Branch(self._within(first), 0, 1.0)]
        while branches:
            branch = min(branches, key=_Branch.turn)
            branch.taken += 1
            way, turned = next(branch.ways, (None, 0))
            if way is None:
                branches.remove(branch)
                continue
            yield self._simplest(way)
            if turned >= BRANCHING:
                branches.append(_Branch(self._within(way), branch.depth + 1, way.distance / max(first.distance, CLOSE)))

    def _simplest(self, way: Way) -> Way:
        """With as few units turned over as stay close."""
        for size in range(1, len(way.turns) if way.distance <= CLOSE else 0):
            for chosen in combinations(way.turns, size):
                found = self._with(chosen, self._sides)
                if found is not None and found[0].distance <= CLOSE:
                    return found[0]
        return way

    def _within(self, base: Way) -> Iterator[Tuple[Way, int]]:
        """Ways from ``base``, and from the best of those; with each, how many units it turns over."""
        waiting = [base]
        while waiting:
            base = min(waiting, key=lambda way: way.distance)
            waiting.remove(base)
            going = [(base, self._from(base))]
            while going:
                base, ways = going[-1]
                way, turned = next(ways, (None, 0))
                if way is None:
                    going.pop()
                    continue
                yield way, turned
                if turned >= BRANCHING:
                    continue
                if way.distance < BETTER * base.distance:
                    going.append((way, self._from(way)))
                else:
                    waiting.append(way)

    def _from(self, base: Way) -> Iterator[Tuple[Way, int]]:
        """Ways with one more unit turned over than in ``base``, or with some of those together."""
        look = self._steps.look(self.number, self._state, base.nudges)
        sides = _sides(look)
        turned_before = base.nudges
        candidates = [turn for turn in _near_zero(look, self._rounding.units) if turn.unit not in turned_before]
        effects: List[Tuple[Turn, Any]] = []
        for count, candidate in enumerate(candidates, 1):
            found = self._with((*base.turns, candidate), sides)
            if found is not None:
                yield found
                way, turned = found
                if turned < BRANCHING:
                    effects.append((candidate, way.off - base.off))
            if count % TOGETHER_AFTER == 0 or count == len(candidates):
                for chosen in self._together(base, effects):
                    found = self._with((*base.turns, *chosen), sides)
                    if found is not None:
                        yield found[0], 1

    def _together(self, base: Way, effects: List[Tuple[Turn, Any]]) -> Iterator[List[Turn]]:
        """The two most promising sets of units, if what each does to the next losses adds up."""
        best = min(way.distance for way in self.ways)
        found: List[Tuple[float, int, List[Turn]]] = []
        for size in range(2, MOST_TOGETHER + 1):
            for chosen in combinations(effects, size):
                expected = _largest(base.off + sum(effect for _, effect in chosen))
                if expected < 0.5 * best:
                    found.append((expected, len(found), [candidate for candidate, _ in chosen]))
        for _, _, candidates in sorted(found)[:2]:
            yield candidates

    def _with(self, turns: Tuple[Turn, ...], sides: Any) -> Optional[Tuple[Way, int]]:
        """The step with these units turned over, and how many are on another side than in ``sides``; None where a way

        before it had the same units on the same sides.
        """
        key = frozenset((turn.unit, turn.side) for turn in turns)
        if key in self._tried:
            return None
        self._tried.add(key)
        look = self._steps.look(self.number, self._state, _nudges(turns))
        now = _sides(look)
        pattern = _pattern(now)
        if pattern in self._patterns:
            return None
        self._patterns.add(pattern)
        after = self._steps.replay.state()
        way = self._add(look.losses, turns, after, self._steps.off(self.number, look.losses))
        return way, int(np.count_nonzero(now != sides))

    def _add(self, losses: Losses, turns: Tuple[Turn, ...], after: State, off: Any) -> Way:
        steps = self._steps
        worst = _largest(np.where(steps.settled(self.number), off / steps.limits(self.number), 0.0))
        off = off / self._expected
        distance = _largest(off)
        translations: Tuple[Check, ...] = ()
        if self.number == steps.last:
            steps.replay.restore(after)
            translations = tuple(steps.replay.translation_checks("after"))
            worst = max(worst, excess(list(translations)))
            # Here the bounds are all that counts: what is within them is close.
            off, distance = CLOSE * off, CLOSE * worst
        way = Way(turns, losses, after, translations, worst, off, distance)
        self.ways.append(way)
        return way


def _nudges(turns: Tuple[Turn, ...]) -> Nudges:
    return {turn.unit: turn.nudge for turn in turns}


def _largest(deviations: Any) -> float:
    """Of their sizes; infinite where one is NaN."""
    return float(np.max(np.abs(deviations))) if np.all(np.isfinite(deviations)) else float("inf")


def _sides(look: Look) -> Any:
    """-1, 0 or 1 for each unit."""
    return np.concatenate([np.sign(values).astype(np.int8).ravel() for values in look.values])


def _pattern(sides: Any) -> int:
    return hash(sides.tobytes())


def _near_zero(look: Look, rounding: List[Any]) -> List[Turn]:
    """What rounding may do to units, with those nearest to their zero first."""
    found = []
    for place, (values, deviations) in enumerate(zip(look.values, rounding)):
        near = (deviations > 0) & (np.abs(values) < NEAR * deviations)
        for index in np.argwhere(near):
            unit = Unit(place, tuple(int(n) for n in index))
            value, deviation = float(values[unit.at]), float(deviations[unit.at])
            side = int(np.sign(value))
            turns = [Turn(unit, -side, -OVER * value)] if side else [Turn(unit, n, n * deviation) for n in (1, -1)]
            if side and look.third_slope[place]:
                turns.append(Turn(unit, 0, -value))
            found += [(abs(value) / deviation, turn.side == 0, turn) for turn in turns]
    return [turn for _, _, turn in sorted(found)[:MOST_UNITS]]
