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
NEAR = 25.0
# The nearest of them, from one state.
MOST_UNITS = 48
# How many of them are turned over one by one before the losses are asked which to turn over together.
TOGETHER_AFTER = 4
MOST_TOGETHER = 3
# A loss that rounding leaves as it is may still differ in its last bit.
LAST_BIT = 1e-7
# A way at so much of its base's distance is gone on from at once.
BETTER = 0.6
# A unit that takes so many others along is early in the step; what is near zero after it must be looked at anew.
BRANCHING = 3

# How sharply losses are weighed: 0 is by their bounds, which are wide enough for every term of every run, so that a
# wrong unit can leave a critic's terms within them and show a step later. 1 is by what rounding does to them in the
# first step, up to a thousand times less. One after the other, each with its part of the tries: no one of them finds
# every path.
SHARPNESS = (0.5, 0.0, 1.0)
# At no more than this distance a way's units are most likely right, and nearer says no more: by bounds, and how many
# times as much by rounding. With such a way a step is as good as done: others are looked for beside it so many times
# less often.
CLOSE = 0.03
CLOSE_BY_ROUNDING = 400
DONE = 8
# How many times as often it is gone on from a way as from the next best of the same step.
RANKED = 3


class Way(NamedTuple):
    """One way to do a step. nudges: the units turned over, with what was added to each; following: the deviations of

    the next step's losses as _Steps weighs them, None after the last step and where the step's own losses are out of
    bounds; excess: the largest error of the step's losses, and of the next one's or of the translations after the last,
    in units of its bound; distance: the largest of ``following``, else excess; close: whether that is near enough.
    """

    nudges: Dict[Unit, float]
    losses: Losses
    after: State
    following: Optional[Any]
    translations: Tuple[Check, ...]
    excess: float
    distance: float
    close: bool


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
    followed = tried = 0
    for part, sharpness in enumerate(SHARPNESS, 1):
        steps = _Steps(replay, tries * part // len(SHARPNESS) - tried, sharpness)
        found = _follow(steps)
        followed, tried = max(followed, found.followed), tried + steps.tried
        if found.path is not None:
            return Shadow(found.path, followed, tried)
    return Shadow(None, followed, tried)


def _follow(steps: "_Steps") -> Shadow:
    followed = 0
    forks = [_Fork(steps, 1, steps.replay.initial)]
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
    except _OutOfTries:
        pass
    return Shadow(None, followed, steps.tried)


class _Steps:
    """Doing steps, and counting them."""

    def __init__(self, replay: WatchedReplay, tries: int, sharpness: float) -> None:
        """sharpness: how losses are weighed, between 0 (by their bounds) and 1 (by what rounding does to them)."""
        self.replay = replay
        self.tried = 0
        self.close = CLOSE * CLOSE_BY_ROUNDING**sharpness
        self._sharpness = sharpness
        self._tries = tries
        self._random = np.random.RandomState(0)
        self._of_losses: Optional[Any] = None

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
        off = self.replay.differences(number, found.losses)
        worst = _largest(off / self.replay.limits(number))
        if worst > 1.0:
            return Way(nudges, found.losses, after, None, (), worst, _largest(self._weighed(number, off)), False)
        if number == self.last:
            translations = tuple(self.replay.translation_checks("after"))
            worst = max(worst, excess(list(translations)))
            return Way(nudges, found.losses, after, None, translations, worst, worst, worst <= 1.0)
        self._count()
        off = self.replay.differences(number + 1, self.replay.step(number + 1))
        worst = max(worst, _largest(off / self.replay.limits(number + 1)))
        following = self._weighed(number + 1, off)
        distance = _largest(following)
        return Way(nudges, found.losses, after, following, (), worst, distance, worst <= 1.0 and distance <= self.close)

    def _weighed(self, number: int, off: Any) -> Any:
        """How far losses of a step are ``off``, in units between their bounds and what rounding does to them."""
        if self._of_losses is None:
            state = self.replay.initial
            looks = [self.look(1, at, {}) for at in [state] + [self._moved(state) for _ in range(SAMPLES)]]
            exact, *moved = [self.replay.differences(1, look.losses) for look in looks]
            self._of_losses = np.sqrt(np.mean(np.square(np.array(moved) - exact), axis=0))
        rounding = np.maximum(self._of_losses, LAST_BIT * np.abs(self.replay.recorded_losses(number)))
        return off / (rounding**self._sharpness * self.replay.limits(number) ** (1.0 - self._sharpness))

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


class _Origin(NamedTuple):
    """The way after which a step is done, and the step before it."""

    fork: "_Fork"
    way: Way


class _Branch:
    """Ways of a step that have a unit turned over which moves others: they have others near their zero.

    ways: with how many units each turns over; depth: how many such units; farther: how many times as far as the step as

    it is; taken: how many ways were.
    """

    def __init__(self, ways: Iterator[Tuple[Way, int]], depth: int, farther: float) -> None:
        self.ways = ways
        self.depth = depth
        self.taken = 0
        self._farther = farther

    def turn(self) -> float:
        """The branch with the least has the next turn."""
        return float((self.taken + 1) * 3**self.depth * max(1.0, self._farther) ** 0.5)


class _Fork:
    """The ways to do one step from one state, found one after the other."""

    def __init__(self, steps: _Steps, number: int, state: State, origin: Optional["_Origin"] = None) -> None:
        self.number = number
        self.ways: List[Way] = []
        self._steps = steps
        self._state = state
        self._origin = origin
        self._patterns: Set[int] = set()
        self._tried: Set[Any] = set()
        self._growth = self._grow()

    def grow(self) -> Optional[Way]:
        """Find one more way; None where there is none."""
        return next(self._growth, None)

    def path(self) -> List[Way]:
        """The ways that lead here."""
        return self._origin.fork.path() + [self._origin.way] if self._origin else []

    def turn(self) -> float:
        """The fork with the least has the next turn."""
        done = any(way.close for way in self.ways)
        return (len(self.ways) + 1) * self._cost() * (DONE if done else 1)

    def _cost(self) -> float:
        """What a turn here is worth less for the ways that lead here."""
        if self._origin is None:
            return 1.0
        fork, way = self._origin
        close = self._steps.close
        own = max(close, way.distance)
        rank = sum(max(close, other.distance) < own for other in fork.ways if other.excess <= 1.0)
        return float(fork._cost() * RANKED**rank * (own / close) ** 0.5)

    def _grow(self) -> Iterator[Way]:
        """First the step as it is, then with units turned over, in every branch of the step by turns."""
        look = self._steps.look(self.number, self._state, {})
        first = self._way(look, _sides(look), {})
        yield first
        rounding = self._steps.rounding(self.number, self._state, look.values)
        branches = [_Branch(self._within(first, rounding), 0, 1.0)]
        while branches:
            branch = min(branches, key=_Branch.turn)
            branch.taken += 1
            way, turned = next(branch.ways, (None, 0))
            if way is None:
                branches.remove(branch)
                continue
            yield way
            if turned >= BRANCHING:
                farther = way.distance / first.distance
                branches.append(_Branch(self._within(way, rounding), branch.depth + 1, farther))

    def _within(self, base: Way, rounding: List[Any]) -> Iterator[Tuple[Way, int]]:
        """Ways from ``base``, and from the best of those; with each, how many units it turns over."""
        waiting = [base]
        while waiting:
            base = min(waiting, key=lambda way: way.distance)
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
                if way.distance < BETTER * base.distance:
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
        best = min(way.distance for way in self.ways)
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
