"""A leg of a comparison, and what its run folders hold."""

import itertools
import json
import math
import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.compare.records import OF_A_RUN, Options, Summary, read_options, read_summary
from components.compare.verdict import OptionDifference
from dualgan.errors import BadInput, printable
from dualgan.options import LEG_OPTIONS
from dualgan.pictures import check_picture
from dualgan.run_folder import LOSS_METRICS, NETWORKS, RunFolder, is_training_step, read_events, read_samples, step_of
from dualgan.summary import WARM_UP_STEPS

Floats = NDArray[np.float64]

# Legs name the pictures that are written, so a name is also a file name.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
DEVICES = {"cpu": "a CPU", "gpu": "a GPU", "npu": "an NPU"}
# What belongs to a leg or to one of its runs, not to the experiment: where it ran, where its files lie, its seed.
# Datasets compare by digest.
OWN_OPTIONS = frozenset({*LEG_OPTIONS, "run_dir", "data_dir", "cache_dir", "git_commit", "seed"})
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


@dataclass(frozen=True)
class LossHistory:
    """What a run logged, by training step; of a step that was repeated after resuming the later run counts.

    Attributes:
        steps: [n], rising.
        losses: By metric, [n]; NaN if a step has none. Metrics that no step has are left out.
        seconds: What each step took, [n]; NaN if it was not logged.
        steady: [n]; false for the first steps of a process, which compile kernels.
        feed: The signature of what each step was fed, [n, k], k even; NaN if a step has none, None if all have none.
        update_norms: How far each step moved each of NETWORKS, [n, 4]; NaN if it was not logged.
        non_finite: How many losses are NaN or infinite.
        first_non_finite: The first of them: (step, metric).
        started: The time of the first event, seconds since 1970; ended: that of the last one.
    """

    steps: NDArray[np.int64]
    losses: Mapping[str, Floats]
    seconds: Floats
    steady: NDArray[np.bool_]
    feed: NDArray[np.float32] | None
    update_norms: Floats
    non_finite: int
    first_non_finite: tuple[int, str] | None
    started: float
    ended: float


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
    def description(self) -> str:
        """What the run really was: "TensorFlow 1.15.0 on a CPU (AMD EPYC)"."""
        environment = self.options.environment
        device = environment.device
        return f"TensorFlow {environment.tensorflow} on {DEVICES[device.kind]} ({device.name})"

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
        return tuple(run.options.seed for run in self.runs)

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
    by_seed = dict(zip(reference.seeds, reference.runs, strict=True))
    return [(by_seed[run.options.seed], run) for run in candidate.runs if run.options.seed in by_seed]


def check_name(name: str, label: str = "leg") -> str:
    """Return ``name`` if a leg may have it, else raise BadInput."""
    if not NAME.fullmatch(name):
        raise BadInput(f"{label} {name!r}: a name is at most 100 letters, digits and . _ -, such as gpu-v100")
    return name


def read_leg(leg: Leg) -> LegRuns:
    """Read a leg's run folders. Raises BadInput if a file is missing, damaged or truncated, or a seed is twice."""
    if not leg.sources:
        raise BadInput(f"leg {leg.name}: no run folder; give one or more")
    if leg.replay is not None and not leg.replay.is_file():
        raise BadInput(f"leg {leg.name}: {leg.replay}: no such replay")
    by_seed: dict[int, LegRun] = {}
    for run in (_read_run(leg, source) for source in leg.sources):
        seed = run.options.seed
        other = by_seed.setdefault(seed, run)
        if other is not run:
            raise BadInput(
                f"leg {leg.name}: {other.run} and {run.run} have the same seed, {seed}; "
                "runs count as repeats if their seeds differ"
            )
    return LegRuns(leg.name, tuple(by_seed[seed] for seed in sorted(by_seed)), leg.replay)


def _read_run(leg: Leg, source: Source) -> LegRun:
    if not source.run.is_dir():
        raise BadInput(f"leg {leg.name}: {source.run}: no such run folder")
    folder = RunFolder(source.run)
    options, summary = read_options(folder.options), read_summary(folder.summary)
    history = read_history(folder.events)
    last = int(history.steps[-1]) if len(history.steps) else 0
    if summary and summary.status == "finished" and last < (summary.steps or 0):
        raise BadInput(
            f"{folder.events}: truncated: its last training step is {last}, summary.json says {summary.steps}; "
            "train the leg anew"
        )
    name = f"{leg.name} (seed {options.options.get('seed')})" if len(leg.sources) > 1 else leg.name
    return LegRun(name, source.run, options, summary, history, _read_samples(leg.name, source, folder))


def read_history(path: Path) -> LossHistory:
    """Read events.jsonl line by line, for it may have 100,000.

    Raises:
        BadInput: It is missing, empty or damaged; a broken last line is left out.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file{OF_A_RUN}")
    # Of each step its number, seconds, whether it is steady, losses, norms of updates.
    rows, width = array("d"), 3 + len(LOSS_METRICS) + len(NETWORKS)
    feeds: dict[int, Sequence[float]] = {}
    non_finite, first_non_finite, of_process = 0, None, 0
    started = ended = math.nan
    try:
        for event in read_events(path):
            ended = event.get("time", ended)
            started = ended if math.isnan(started) else started
            if event.get("type") in ("started", "resumed"):
                of_process = 0
            elif is_training_step(event):
                step, metrics, norms = event["step"], event["metrics"], event.get("update_norms", {})
                of_process += 1
                rows.extend((step, event.get("seconds", math.nan), of_process > WARM_UP_STEPS))
                rows.extend(metrics.get(name, math.nan) for name in LOSS_METRICS)
                rows.extend(norms.get(name, math.nan) for name in NETWORKS)
                broken = [name for name in LOSS_METRICS if not math.isfinite(metrics.get(name, 0))]
                non_finite += len(broken)
                if broken and not first_non_finite:
                    first_non_finite = (step, broken[0])
                if event.get("feed"):
                    feeds[step] = array("f", event["feed"])
        table = np.asarray(rows).reshape(-1, width)[::-1]
        steps, last = np.unique(table[:, 0].astype(np.int64), return_index=True)
        feed = _feed([feeds.get(step, ()) for step in steps.tolist()]) if feeds else None
    except ValueError as error:
        raise BadInput(f"{path}: truncated or damaged ({error}); train the leg anew") from None
    if math.isnan(ended):
        raise BadInput(f"{path}: truncated: it holds no event; train the leg anew")
    _, seconds, steady, *losses = table[last].T.copy()
    return LossHistory(
        steps=steps,
        losses={name: of for name, of in zip(LOSS_METRICS, losses, strict=False) if not np.isnan(of).all()},
        seconds=seconds,
        steady=steady > 0,
        feed=feed,
        update_norms=np.stack(losses[len(LOSS_METRICS) :], axis=1),
        non_finite=non_finite,
        first_non_finite=first_non_finite,
        started=started,
        ended=ended,
    )


def _feed(signatures: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    widths = sorted({len(signature) for signature in signatures if signature})
    if len(widths) > 1 or widths[0] % 2:
        raise ValueError(f"feed signatures have {' and '.join(map(str, widths[:2]))} numbers, not one even number of")
    return np.array([signature or [math.nan] * widths[0] for signature in signatures], dtype=np.float32)


def _read_samples(leg: str, source: Source, folder: RunFolder) -> dict[str, dict[str, Path]]:
    if source.samples is not None and not source.samples.is_dir():
        raise BadInput(f"leg {leg}: {source.samples}: no such folder of sample pictures")
    drawn = [path for path in folder.samples.glob("step-*") if path.is_dir() and step_of(path.name) is not None]
    chosen = source.samples or max(drawn, key=lambda path: step_of(path.name) or 0, default=None)
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


def option_values(legs: Sequence[LegRuns]) -> dict[str, dict[str, list[str]]]:
    """Return by option, then leg, the different values in the leg's runs, as JSON."""
    names = sorted({name for leg in legs for run in leg.runs for name in run.options.options})
    return {
        name: {leg.name: list(dict.fromkeys(_value(run, name) for run in leg.runs)) for leg in legs} for name in names
    }


def is_shared(values: Mapping[str, Sequence[str]]) -> bool:
    """Return whether an option of option_values has one value in all runs."""
    return len(set(itertools.chain(*values.values()))) == 1


def differing_options(legs: Sequence[LegRuns]) -> tuple[OptionDifference, ...]:
    """Return the options that all runs of all legs should share and do not, by name."""
    return tuple(
        OptionDifference(name, {leg: ", ".join(of_leg) for leg, of_leg in values.items()})
        for name, values in option_values(legs).items()
        if name not in OWN_OPTIONS and not is_shared(values)
    )


def _value(run: LegRun, name: str) -> str:
    return json.dumps(run.options.options[name]) if name in run.options.options else ABSENT
