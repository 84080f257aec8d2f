"""A leg of a comparison, and what its run folder holds."""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.compare.bounds import MAX_SEEDS
from components.compare.history import LossHistory, read_history
from components.compare.records import Options, Summary, read_options, read_summary
from dualgan.errors import BadInput, printable
from dualgan.options import LEG_OPTIONS
from dualgan.pictures import check_picture
from dualgan.run_folder import RunFolder, read_samples, step_of

# Legs name the pictures that are written, so a name is also a file name.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

DEVICES = {"cpu": "a CPU", "gpu": "a GPU", "npu": "an NPU"}

# What belongs to a leg, not to the experiment: where it ran, where its files lie. Datasets compare by digest.
OWN_OPTIONS = frozenset({*LEG_OPTIONS, "run_dir", "data_dir", "cache_dir", "git_commit"})
# What tells the runs of one leg apart.
RUN_OPTIONS = frozenset({"seed"})

ABSENT = "absent"

# Sets of pictures are judged by patches of 7 x 7 pixels.
MIN_SIDE = 8
# Several pictures are in memory at a time, 24 bytes a pixel.
MAX_SIDE = 2048


@dataclass(frozen=True)
class Source:
    """Where a run of a leg lies: its run folder and its sample folder (default: the last one of the run)."""

    run: Path
    samples: Path | None = None


@dataclass(frozen=True)
class Leg:
    """One side of the comparison: a run of each seed. ``replay``: what replaying the reference's trace gave."""

    name: str
    sources: tuple[Source, ...]
    replay: Path | None = None


def leg_of(name: str, side: str, artifacts: Mapping[str, Any], replay: Any = None) -> Leg:
    """Return the leg of a pipeline's artifacts.

    Args:
        name: The leg's.
        side: "candidate" or "reference".
        artifacts: Each with a ``path``, or None, by ``{side}_records_{number}`` and ``{side}_samples_{number}``.
        replay: The artifact of the leg's replay.
    """
    inputs = [
        [artifacts[f"{side}_{kind}_{number}"] for kind in ("records", "samples")] for number in range(1, MAX_SEEDS + 1)
    ]
    sources = (Source(Path(run.path), Path(samples.path) if samples else None) for run, samples in inputs if run)
    return Leg(name, tuple(sources), Path(replay.path) if replay else None)


@dataclass(frozen=True)
class LegRun:
    """A run of a leg with everything that was read of it.

    Attributes:
        name: The leg's, with the seed if the leg has several runs.
        samples: Paths by validation image, then kind.
    """

    name: str
    run: Path
    options: Options
    summary: Summary | None
    history: LossHistory
    samples: Mapping[str, Mapping[str, Path]]

    @property
    def seed(self) -> int:
        return self.options.seed

    @property
    def device(self) -> str:
        return self.options.environment.device.kind

    @property
    def description(self) -> str:
        """What the run really was: "TensorFlow 1.15.0 on a CPU (AMD EPYC)"."""
        environment = self.options.environment
        return f"TensorFlow {environment.tensorflow} on {DEVICES[self.device]} ({environment.device.name})"

    @property
    def unfinished(self) -> str | None:
        """Why the run is no finished run, None if it is one."""
        if self.summary is None:
            return f"{self.name} did not finish: it has no summary.json"
        if self.summary.status != "finished":
            why = f" ({self.summary.reason})" if self.summary.reason else ""
            return f"{self.name} did not finish: {self.summary.status}{why}"
        return None

    def picture(self, image: str, kind: str) -> Path | None:
        """Return the sample of ``kind`` of a validation image, None if there is none."""
        return self.samples.get(image, {}).get(kind)


@dataclass(frozen=True)
class LegRuns:
    """A leg with all its runs, by rising seed."""

    name: str
    runs: tuple[LegRun, ...]
    replay: Path | None = None

    @property
    def first(self) -> LegRun:
        """The run that stands for the leg if one is shown."""
        return self.runs[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.seed for run in self.runs)

    @property
    def unusable(self) -> str | None:
        """Why the leg's losses are no evidence, None if they are."""
        for run in self.runs:
            if run.unfinished:
                return run.unfinished
            if run.history.first_non_finite:
                step, name = run.history.first_non_finite
                return f"{run.name} has losses that are not finite (the first: {name} at step {step}): no evidence"
        return None


def pairs(reference: LegRuns, candidate: LegRuns) -> list[tuple[LegRun, LegRun]]:
    """Return the runs of the two legs that have a seed in common."""
    by_seed = {run.seed: run for run in reference.runs}
    return [(by_seed[run.seed], run) for run in candidate.runs if run.seed in by_seed]


def check_name(name: str, label: str = "leg") -> str:
    """Return ``name`` if a leg may have it, else raise BadInput."""
    if not NAME.fullmatch(name):
        raise BadInput(f"{label} {name!r}: a name is at most 100 letters, digits and . _ -, such as gpu-v100")
    return name


def check_legs(legs: Sequence[Leg], reference: str | None, recorded: str | None = None) -> None:
    """Raise BadInput unless the legs can be compared: each of its own name, ``reference`` among them.

    Two legs or more; one is enough beside a recorded reference, whose name no leg may have.
    """
    names = [leg.name for leg in legs]
    if not legs or (len(legs) < 2 and recorded is None):
        raise BadInput(
            f"a comparison needs two legs or more, got {len(legs)} ({', '.join(names) or 'none'}); "
            "one is enough with a recorded reference"
        )
    for name in names:
        check_name(name)
        if names.count(name) > 1:
            raise BadInput(f"leg {name!r}: two legs have this name; name each leg differently")
        if name == recorded:
            raise BadInput(f"leg {name!r}: has the name of the recorded reference; name the leg differently")
    if recorded is None and reference not in names:
        raise BadInput(f"reference {reference!r} is not among the legs ({', '.join(names)}); name one of them")


def read_leg(leg: Leg) -> LegRuns:
    """Read a leg's run folders. Raises BadInput if a file is missing, damaged or truncated, or a seed is twice."""
    if not leg.sources:
        raise BadInput(f"leg {leg.name}: no run folder; give one or more")
    if leg.replay is not None and not leg.replay.is_file():
        raise BadInput(f"leg {leg.name}: {leg.replay}: no such replay")
    runs = sorted((_read_run(leg, source) for source in leg.sources), key=lambda run: run.seed)
    for one, other in itertools.pairwise(runs):
        if one.seed == other.seed:
            raise BadInput(
                f"leg {leg.name}: {one.run} and {other.run} have the same seed, {one.seed}; "
                "runs count as repeats if their seeds differ"
            )
    return LegRuns(leg.name, tuple(runs), leg.replay)


def _read_run(leg: Leg, source: Source) -> LegRun:
    if not source.run.is_dir():
        raise BadInput(f"leg {leg.name}: {source.run}: no such run folder")
    folder = RunFolder(source.run)
    options, summary = read_options(folder.options), read_summary(folder.summary)
    history = read_history(folder.events)
    if summary is not None and summary.status == "finished":
        _check_complete(folder.events, history, summary)
    samples = _read_samples(leg.name, source, folder)
    name = f"{leg.name} (seed {options.options.get('seed')})" if len(leg.sources) > 1 else leg.name
    return LegRun(name, source.run, options, summary, history, samples)


def _check_complete(events: Path, history: LossHistory, summary: Summary) -> None:
    last = int(history.steps[-1]) if len(history.steps) else 0
    if summary.steps is not None and last < summary.steps:
        raise BadInput(
            f"{events}: truncated: its last training step is {last}, summary.json says {summary.steps}; "
            "train the leg anew"
        )


def _read_samples(leg: str, source: Source, folder: RunFolder) -> dict[str, dict[str, Path]]:
    if source.samples is not None and not source.samples.is_dir():
        raise BadInput(f"leg {leg}: {source.samples}: no such folder of sample pictures")
    chosen = source.samples or _last_samples(folder)
    by_image: dict[str, dict[str, Path]] = {}
    size = None
    for image, kind, path in read_samples(chosen) if chosen else []:
        own = check_picture(path)[:2]
        size = size or own
        if printable(path.name) != path.name:
            raise BadInput(f"{path}: a picture whose name cannot be shown; rename it")
        if own != size or min(own) < MIN_SIDE or max(own) > MAX_SIDE:
            raise BadInput(
                f"{path}: {own[0]} x {own[1]} pixels; samples have {MIN_SIDE} to {MAX_SIDE} a side, all of a run as "
                f"many (here {size[0]} x {size[1]}); draw them anew"
            )
        by_image.setdefault(image, {})[kind] = path
    return by_image


def _last_samples(folder: RunFolder) -> Path | None:
    if not folder.samples.is_dir():
        return None
    steps = {path: step_of(path.name) for path in folder.samples.iterdir() if path.is_dir()}
    known = {path: step for path, step in steps.items() if step is not None}
    return max(known, key=known.__getitem__) if known else None


@dataclass(frozen=True)
class OptionDifference:
    """An option whose value is not the same in all legs; ``values`` by leg, as JSON."""

    name: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class OptionValues(OptionDifference):
    """An option, with ``is_shared`` whether it has one value in all runs."""

    is_shared: bool


def option_values(legs: Sequence[LegRuns]) -> list[OptionValues]:
    """Return all options by name."""
    every = [run.options.options for leg in legs for run in leg.runs]
    found = []
    for name in sorted({name for options in every for name in options}):
        values = {leg.name: list(dict.fromkeys(_value(run, name) for run in leg.runs)) for leg in legs}
        is_shared = len({value for of_leg in values.values() for value in of_leg}) == 1
        found.append(OptionValues(name, {leg: ", ".join(of_leg) for leg, of_leg in values.items()}, is_shared))
    return found


def differing_options(legs: Sequence[LegRuns]) -> tuple[OptionDifference, ...]:
    """Return the options that all runs of all legs should share and do not, by name."""
    differing = [option for option in option_values(legs) if not option.is_shared]
    return tuple(
        OptionDifference(one.name, one.values) for one in differing if one.name not in OWN_OPTIONS | RUN_OPTIONS
    )


def _value(run: LegRun, name: str) -> str:
    return json.dumps(run.options.options[name]) if name in run.options.options else ABSENT
