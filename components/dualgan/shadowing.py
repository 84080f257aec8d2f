"""Recorded steps followed within rounding: from weights that are moved in their last digits before a step.

A step passes half a million rectifiers, and in most steps one of them is so near its zero that rounding decides on
which side it falls. From there two correct implementations part for good: one such unit puts the next losses out of
their bounds. So a replay that leaves the bounds says little, while one that stays within them from weights as good as
the recorded ones (dynamical systems call it a shadow of the recorded path) says as much as if there were no rounding.
A wrong gradient has no such path: moves this small change a loss by far less than its bound, unless a unit turns over.
"""

from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np

from dualgan.golden_replay import Check, Replay, excess
from dualgan.graph import Losses, State

# Standard deviations of what weights are multiplied with, around 1. The least moves only one weight in five, by its
# last bit; the largest is what rounding does to the sums of a layer. A path is found with either, sooner with all.
MOVES = (2e-8, 1e-7, 4e-7)
# How often a step is tried from one state, in one search after the other. Where a unit has turned over unnoticed in a
# step before, no try helps, so that few are best at first; at times, only one in fifty turns over the right units.
WIDTHS = (4, 8, 16, 32, 64)
# In units of the bounds: losses as close as this are most likely those of the same path, and it is followed at once.
CLOSE = 0.02


class Path(NamedTuple):
    """Recorded steps done so far. excess: the largest error, in units of its bound, of the last step and of what

    follows from it: the next step's losses, or the translations after the last. moved: how many steps had their
    weights moved.
    """

    state: State
    losses: Tuple[Losses, ...] = ()
    translations: Tuple[Check, ...] = ()
    excess: float = 0.0
    moved: int = 0

    @property
    def steps(self) -> int:
        return len(self.losses)


class Shadow(NamedTuple):
    """What was found. path: to the last step, or None; followed: how many steps the longest stays within the bounds;

    tried: how many steps were done to find it.
    """

    path: Optional[Path]
    followed: int
    tried: int


def follow(replay: Replay, tries: int) -> Shadow:
    """Look for a path that stays within every bound, and do up to ``tries`` steps for it."""
    search = _Search(replay, tries)
    for width in WIDTHS:
        path = search.to_the_end(Path(replay.initial), width)
        if path or search.tried >= tries:
            break
    return Shadow(path, search.followed, search.tried)


class _Search:
    """A search in depth: from a state whose continuations all leave the bounds it goes back to the one before."""

    def __init__(self, replay: Replay, tries: int) -> None:
        self._replay = replay
        self._tries = tries
        self._random = np.random.RandomState(0)
        self.tried = 0
        self.followed = 0

    def to_the_end(self, path: Path, width: int) -> Optional[Path]:
        """``path`` continued to the last step, or None."""
        self.followed = max(self.followed, path.steps)
        if path.steps == self._replay.steps:
            return path
        close = CLOSE if path.steps + 1 < self._replay.steps else 1.0
        others: List[Path] = []
        for turn in range(width):
            if self.tried >= self._tries:
                return None
            longer = self._one_step_on(path, MOVES[turn % len(MOVES)] if turn else 0.0)
            if longer.excess <= close:
                end = self.to_the_end(longer, width)
                if end:
                    return end
            elif longer.excess <= 1.0:
                others.append(longer)
        for longer in sorted(others, key=lambda other: other.excess):
            end = self.to_the_end(longer, width)
            if end:
                return end
        return None

    def _one_step_on(self, path: Path, move: float) -> Path:
        """``path`` and the step after it from weights moved by ``move``."""
        replay, number = self._replay, path.steps + 1
        replay.restore(self._moved(path.state, move))
        losses = self._step(number)
        found = Path(replay.state(), path.losses + (losses,), moved=path.moved + (move > 0))
        now = excess(replay.loss_checks({number: losses}))
        if now > 1.0:
            return found._replace(excess=now)
        if number < replay.steps:
            following = replay.loss_checks({number + 1: self._step(number + 1)})
            return found._replace(excess=max(now, excess(following)))
        translations = replay.translation_checks("after")
        return found._replace(translations=tuple(translations), excess=max(now, excess(translations)))

    def _moved(self, state: State, move: float) -> State:
        if not move:
            return state

        def moved(weight: Any) -> Any:
            return (weight * (1.0 + move * self._random.standard_normal(weight.shape))).astype(np.float32)

        return State({name: moved(weight) for name, weight in state.weights.items()}, state.slots)

    def _step(self, number: int) -> Losses:
        self.tried += 1
        return self._replay.step(number)
