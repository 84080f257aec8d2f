"""Recorded steps followed within rounding: with single units turned over that are as near their zero as rounding.

A step passes half a million units whose slope jumps at zero (rectifiers, and the pixels of an L1 loss). In most steps
some are so near it that rounding decides on which side they fall. From there two correct implementations part for good:
one such unit puts the next losses out of their bounds. So a replay that leaves the bounds says little, while one that
stays within them with some of these units on the other side says as much as if there were no rounding. A wrong gradient
has no such path: what units can do is in steps, a fault is not one of them.
"""

from itertools import combinations
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

import numpy as np

from dualgan.golden_replay import Check, excess
from dualgan.graph import Losses, State
from dualgan.watched_replay import Look, Nudges, Unit, WatchedReplay

# What rounding does to a unit is taken from steps whose weights are multiplied with 1 + normal(0, ROUNDING): the last
# bit of float32, give or take.
ROUNDING = 1e-7
SAMPLES = 4
# How near its zero a unit is that may turn over, in standard deviations of that. It grows with the steps, since the
# weights are rounded too.
NEAR = 12.0
# The nearest of them, from one state.
MOST_UNITS = 24
# How many of them are turned over one by one before the losses are asked which to turn over together.
TOGETHER_AFTER = 4
MOST_TOGETHER = 3
# A way with so much of its base's excess is gone on from at once.
BETTER = 0.6
# A unit that takes so many others along is early in the step; what is near zero after it must be looked at anew.
BRANCHING = 3

# A way as close as this is most likely with the right units, and is gone on from at once.
CLOSE = 0.03
# How many ways of a step are looked for, and from how many of the best of them it is gone on where none is close, in
# one search after the other. What rounding leaves differs: some hundredths of a bound, tenths for clipped critics.
STAGES = ((1, 1), (16, 1), (32, 2), (64, 4), (96, 8))


class Way(NamedTuple):
    """One way to do a step. nudges: the units turned over, with what was added to each; following: the deviations of

    the next step's losses, None after the last step and where the step's own losses are out of bounds; excess: the
    largest error of the step's losses, and of the next one's or of the translations after the last, in units of its
    bound.
    """

    nudges: Dict[Unit, float]
    losses: Losses
    after: State
    following: Optional[Any]
    translations: Tuple[Check, ...]
    excess: float


class Shadow(NamedTuple):
    """What was found. path: a way for each step, or None; followed: how many steps the longest stays within the bounds;

    tried: how many steps were done to find it.
    """

    path: Optional[List[Way]]
    followed: int
    tried: int


class _OutOfTries(Exception):
    pass


def follow(replay: WatchedReplay, tries: int) -> Shadow:
    """Look for a path that stays within every bound, and do up to ``tries`` steps for it."""
    steps = _Steps(replay, tries)
    search = _Search(steps)
    path = None
    try:
        start = _Fork(steps, 1, replay.initial)
        for width, best in STAGES:
            path = search.path_from(start, width, best)
            if path:
                break
    except _OutOfTries:
        pass
    return Shadow(path, search.followed, steps.tried)


class _Steps:
    """Doing steps, and counting them."""

    def __init__(self, replay: WatchedReplay, tries: int) -> None:
        self.replay = replay
        self.tried = 0
        self._tries = tries
        self._random = np.random.RandomState(0)

    @property
    def last(self) -> int:
        return self.replay.steps

    def look(self, number: int, state: State, nudges: Nudges) -> Look:
        self._count()
        self.replay.restore(state)
        return self.replay.look(number, nudges)

    def way(self, number: int, found: Look, nudges: Dict[Unit, float]) -> Way:
        """What follows from the step that was done just now."""
        after = self.replay.state()
        now = _largest(self.replay.deviations(number, found.losses))
        if now > 1.0:
            return Way(nudges, found.losses, after, None, (), now)
        if number == self.last:
            translations = tuple(self.replay.translation_checks("after"))
            return Way(nudges, found.losses, after, None, translations, max(now, excess(list(translations))))
        self._count()
        following = self.replay.deviations(number + 1, self.replay.step(number + 1))
        return Way(nudges, found.losses, after, following, (), max(now, _largest(following)))

    def rounding(self, number: int, state: State, values: List[Any]) -> List[Any]:
        """What rounding does to ``values``, those of a step from ``state``: for each array of them, the standard

        deviation of each unit's channel, but 0 for units that it leaves as they are: dead ones, and those of an image
        yet empty.
        """
        samples = [self.look(number, self._moved(state), {}).values for _ in range(SAMPLES)]
        found = []
        for place, value in enumerate(values):
            differences = np.abs([sample[place] - value for sample in samples])
            # A sample in which a unit turns over moves what comes after it by more than rounding: hence the least of
            # the samples. The median of a normal distribution is 0.67 deviations.
            deviations = np.min(np.median(differences, axis=(1, 2, 3)), axis=0) / 0.67
            found.append(np.where(np.max(differences, axis=0) > 0, deviations, 0.0))
        return found

    def _moved(self, state: State) -> State:
        def moved(weight: Any) -> Any:
            return (weight * (1.0 + ROUNDING * self._random.standard_normal(weight.shape))).astype(np.float32)

        return State({name: moved(weight) for name, weight in state.weights.items()}, state.slots)

    def _count(self) -> None:
        if self.tried >= self._tries:
            raise _OutOfTries
        self.tried += 1


class _Branch:
    """Ways of a step that have a unit turned over which moves others: they have others near their zero.

    ways: with how many units each turns over; depth: how many such units; taken: how many ways were.
    """

    def __init__(self, ways: Iterator[Tuple[Way, int]], depth: int) -> None:
        self.ways = ways
        self.depth = depth
        self.taken = 0

    def turn(self) -> int:
        """The branch with the least has the next turn."""
        return int((self.taken + 1) * 3**self.depth)


class _Fork:
    """The ways to do one step from one state, found one after the other."""

    def __init__(self, steps: _Steps, number: int, state: State) -> None:
        self.number = number
        self.ways: List[Way] = []
        self._steps = steps
        self._state = state
        self._patterns: Set[int] = set()
        self._tried: Set[Any] = set()
        self._next: Dict[int, "_Fork"] = {}
        self._growth = self._grow()

    def grow(self) -> bool:
        """Find one more way; False where there is none."""
        return next(self._growth, None) is not None

    def after(self, place: int) -> "_Fork":
        """The next step, after ``ways[place]``."""
        if place not in self._next:
            self._next[place] = _Fork(self._steps, self.number + 1, self.ways[place].after)
        return self._next[place]

    def _grow(self) -> Iterator[Way]:
        """First the step as it is, then with units turned over, in every branch of the step by turns."""
        look = self._steps.look(self.number, self._state, {})
        first = self._way(look, _sides(look), {})
        yield first
        rounding = self._steps.rounding(self.number, self._state, look.values)
        branches = [_Branch(self._within(first, rounding), 0)]
        while branches:
            branch = min(branches, key=_Branch.turn)
            branch.taken += 1
            way, turned = next(branch.ways, (None, 0))
            if way is None:
                branches.remove(branch)
                continue
            yield way
            if turned >= BRANCHING:
                branches.append(_Branch(self._within(way, rounding), branch.depth + 1))

    def _within(self, base: Way, rounding: List[Any]) -> Iterator[Tuple[Way, int]]:
        """Ways from ``base``, and from the best of those; with each, how many units it turns over."""
        waiting = [base]
        while waiting:
            base = min(waiting, key=lambda way: way.excess)
            waiting.remove(base)
            going = [(base, self._from(base, rounding))]
            while going:
                base, ways = going[-1]
                way, turned = next(ways, (None, 0))
                if way is None:
                    going.pop()
                    continue
                yield way, turned
                if turned >= BRANCHING:
                    continue
                if way.excess < BETTER * base.excess:
                    going.append((way, self._from(way, rounding)))
                else:
                    waiting.append(way)

    def _from(self, base: Way, rounding: List[Any]) -> Iterator[Tuple[Way, int]]:
        """Ways with one more unit turned over than in ``base``, or with some of those together."""
        look = self._steps.look(self.number, self._state, base.nudges)
        sides = _sides(look)
        candidates = [pair for pair in _near_zero(look, rounding) if pair[0] not in base.nudges]
        effects: List[Tuple[Tuple[Unit, float], Any]] = []
        for count, candidate in enumerate(candidates, 1):
            found = self._with({**base.nudges, candidate[0]: candidate[1]}, sides)
            if found is not None:
                yield found
                way, turned = found
                if base.following is not None and way.following is not None and turned < BRANCHING:
                    effects.append((candidate, way.following - base.following))
            if count % TOGETHER_AFTER == 0 or count == len(candidates):
                for chosen in self._together(base, effects):
                    found = self._with({**base.nudges, **dict(chosen)}, sides)
                    if found is not None:
                        yield found[0], 1

    def _together(self, base: Way, effects: List[Tuple[Tuple[Unit, float], Any]]) -> Iterator[List[Tuple[Unit, float]]]:
        """The two most promising sets of units, if what each does to the next losses adds up."""
        if base.following is None:
            return
        best = min(way.excess for way in self.ways)
        found: List[Tuple[float, int, List[Tuple[Unit, float]]]] = []
        for size in range(2, MOST_TOGETHER + 1):
            for chosen in combinations(effects, size):
                expected = _largest(base.following + sum(effect for _, effect in chosen))
                if expected < 0.5 * best:
                    found.append((expected, len(found), [candidate for candidate, _ in chosen]))
        for _, _, candidates in sorted(found)[:2]:
            yield candidates

    def _with(self, nudges: Dict[Unit, float], sides: Any) -> Optional[Tuple[Way, int]]:
        """The step with these units turned over, and how many are on another side than in ``sides``; None where a way

        before it had the same units on the same sides.
        """
        key = frozenset((unit, np.sign(nudge)) for unit, nudge in nudges.items())
        if key in self._tried:
            return None
        self._tried.add(key)
        look = self._steps.look(self.number, self._state, nudges)
        now = _sides(look)
        if hash(now.tobytes()) in self._patterns:
            return None
        return self._way(look, now, nudges), int(np.count_nonzero(now != sides))

    def _way(self, look: Look, sides: Any, nudges: Dict[Unit, float]) -> Way:
        self._patterns.add(hash(sides.tobytes()))
        way = self._steps.way(self.number, look, nudges)
        self.ways.append(way)
        return way


class _Search:
    """In depth: from a state whose ways all leave the bounds it goes back to the one before."""

    def __init__(self, steps: _Steps) -> None:
        self._steps = steps
        self.followed = 0

    def path_from(self, fork: _Fork, width: int, best: int) -> Optional[List[Way]]:
        """Ways from ``fork`` to the last step, of up to ``width`` ways a step and ``best`` that are not close."""
        self.followed = max(self.followed, fork.number - 1)
        if fork.number > self._steps.last:
            return []
        close = CLOSE if fork.number < self._steps.last else 1.0
        been: Set[int] = set()

        def path_over(places: List[int]) -> Optional[List[Way]]:
            for place in sorted(places, key=lambda n: fork.ways[n].excess):
                been.add(place)
                rest = self.path_from(fork.after(place), width, best)
                if rest is not None:
                    return [fork.ways[place]] + rest
            return None

        def new_ways(limit: float) -> List[int]:
            return [place for place, way in enumerate(fork.ways) if way.excess <= limit and place not in been]

        while True:
            path = path_over(new_ways(close))
            if path is not None:
                return path
            if len(fork.ways) >= width or not fork.grow():
                left = sorted(new_ways(1.0), key=lambda n: fork.ways[n].excess)
                # Of all ways, that with no unit turned over is the likeliest.
                return path_over([place for rank, place in enumerate(left) if rank < best or place == 0])


def _largest(deviations: Any) -> float:
    """Of their sizes; infinite where one is NaN."""
    return float(np.max(np.abs(deviations))) if np.all(np.isfinite(deviations)) else float("inf")


def _sides(look: Look) -> Any:
    """-1, 0 or 1 for each unit."""
    return np.concatenate([np.sign(values).astype(np.int8).ravel() for values in look.values])


def _near_zero(look: Look, rounding: List[Any]) -> List[Tuple[Unit, float]]:
    """The units that rounding may turn over, the nearest to their zero first, and what puts them on another side."""
    found = []
    for place, (values, deviations) in enumerate(zip(look.values, rounding)):
        near = (deviations > 0) & (np.abs(values) < NEAR * deviations)
        for index in np.argwhere(near):
            at = tuple(int(n) for n in index)
            value, deviation = float(values[at]), float(deviations[at])
            nudges = [-2.0 * value] if value else [deviation, -deviation]
            if value and look.third_slope[place]:
                nudges.append(-value)
            found += [(abs(value) / deviation, Unit(place, at), nudge) for nudge in nudges]
    return [(unit, nudge) for _, unit, nudge in sorted(found)[:MOST_UNITS]]
