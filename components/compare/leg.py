"""A leg of a comparison, and what its run folder holds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.compare.history import LossHistory, read_history
from components.compare.records import Options, Summary, read_options, read_summary
from dualgan.errors import BadInput
from dualgan.run_folder import RunFolder, read_samples, step_of

# Legs name the pictures that are written, so a name is also a file name.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

DEVICES = {"cpu": "a CPU", "gpu": "a GPU", "npu": "an NPU"}


@dataclass(frozen=True)
class Leg:
    """One side of the comparison: its run folder and its sample folder (default: the last one of the run)."""

    name: str
    run: Path
    samples: Path | None = None


@dataclass(frozen=True)
class LegRun:
    """A leg with everything that was read of it; ``samples`` are paths by validation image, then kind."""

    name: str
    run: Path
    options: Options
    summary: Summary | None
    history: LossHistory
    samples: Mapping[str, Mapping[str, Path]]

    @property
    def device(self) -> str:
        return self.options.environment.device.kind

    @property
    def description(self) -> str:
        """What the leg really was: "TensorFlow 1.15.0 on a CPU (AMD EPYC)"."""
        environment = self.options.environment
        return f"TensorFlow {environment.tensorflow} on {DEVICES[self.device]} ({environment.device.name})"

    @property
    def unfinished(self) -> str | None:
        """Why the run is no finished run, None where it is one."""
        if self.summary is None:
            return f"{self.name} did not finish: it has no summary.json"
        if self.summary.status != "finished":
            why = f" ({self.summary.reason})" if self.summary.reason else ""
            return f"{self.name} did not finish: {self.summary.status}{why}"
        return None

    def picture(self, image: str, kind: str) -> Path | None:
        return self.samples.get(image, {}).get(kind)


def check_legs(legs: Sequence[Leg], reference: str) -> None:
    """Raise BadInput unless there are two legs or more, each of its own name, ``reference`` among them."""
    names = [leg.name for leg in legs]
    if len(legs) < 2:
        raise BadInput(f"a comparison needs two legs or more, got {len(legs)} ({', '.join(names) or 'none'})")
    for name in names:
        if not NAME.fullmatch(name):
            raise BadInput(f"leg {name!r}: a leg's name is made of letters, digits and . _ -, such as cpu-tf1")
        if names.count(name) > 1:
            raise BadInput(f"leg {name!r}: two legs have this name; name each leg differently")
    if reference not in names:
        raise BadInput(f"reference {reference!r} is not among the legs ({', '.join(names)}); name one of them")


def read_leg(leg: Leg) -> LegRun:
    """Read a leg's run folder. Raises BadInput where a file is missing, damaged or truncated."""
    if not leg.run.is_dir():
        raise BadInput(f"leg {leg.name}: {leg.run}: no such run folder")
    folder = RunFolder(leg.run)
    options, summary = read_options(folder.options), read_summary(folder.summary)
    history = read_history(folder.events)
    if summary is not None and summary.status == "finished":
        _check_complete(folder.events, history, summary)
    return LegRun(leg.name, leg.run, options, summary, history, _read_samples(leg, folder))


def _check_complete(events: Path, history: LossHistory, summary: Summary) -> None:
    last = int(history.steps[-1]) if len(history.steps) else 0
    if summary.steps is not None and last < summary.steps:
        raise BadInput(
            f"{events}: truncated: its last training step is {last}, summary.json says {summary.steps}; "
            "train the leg anew"
        )


def _read_samples(leg: Leg, folder: RunFolder) -> dict[str, dict[str, Path]]:
    if leg.samples is not None and not leg.samples.is_dir():
        raise BadInput(f"leg {leg.name}: {leg.samples}: no such folder of sample pictures")
    chosen = leg.samples or _last_samples(folder)
    by_image: dict[str, dict[str, Path]] = {}
    for image, kind, path in read_samples(chosen) if chosen else []:
        by_image.setdefault(image, {})[kind] = path
    return by_image


def _last_samples(folder: RunFolder) -> Path | None:
    if not folder.samples.is_dir():
        return None
    steps = {path: step_of(path.name) for path in folder.samples.iterdir() if path.is_dir()}
    known = {path: step for path, step in steps.items() if step is not None}
    return max(known, key=known.__getitem__) if known else None
