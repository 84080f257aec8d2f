"""Trains the runs that a table of verdicts needs, each once and in a process of its own, and compares them as legs."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from components.common.revision import WORKING_TREE
from components.compare.bounds import AxisName, Bounds
from components.compare.judge import judge
from components.compare.leg import Leg, LegRuns, Source, read_leg
from components.compare.verdict import Axis, Comparison, Verdict
from components.train.runtimes import python_of, trainer_environment
from dualgan.run_folder import RunFolder, read_json

BOUNDS = Bounds()
# How a verdict is written in a table.
MARKS = {Verdict.PASS: "pass", Verdict.FAIL: "FAIL", Verdict.INCONCLUSIVE: "open", Verdict.NOT_MEASURED: "-"}


@dataclass(frozen=True)
class Run:
    """What one process trains.

    Attributes:
        leg: The leg's name; runs of one leg differ in their seed alone.
        mutation: Of tests.verdict.mutations, or "none".
        environment: Variables of the trainer.
    """

    leg: str
    dataset: str = "faces"
    seed: int = 0
    mutation: str = "none"
    runtime: str = "tf2"
    threads: int = 1
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return f"{self.dataset} {self.leg} {self.seed}".replace(" ", "-")


@dataclass(frozen=True)
class Pair:
    """A reference and a candidate, each by the runs of its seeds, and what the candidate is."""

    what: str
    reference: tuple[Run, ...]
    candidate: tuple[Run, ...]


class Trainings:
    """Runs in ``folder``, with ``options`` but their own; what an earlier process finished there is not done again."""

    def __init__(self, folder: Path, datasets: Mapping[str, Path], options: Sequence[str]) -> None:
        self._folder, self._datasets, self._given = folder, datasets, options

    def train(self, pairs: Iterable[Pair], processes: int) -> None:
        """Train what ``pairs`` need, ``processes`` runs at a time, and replay the references' traces."""
        pairs = list(pairs)
        runs = dict.fromkeys(run for pair in pairs for run in (*pair.reference, *pair.candidate))
        with ThreadPoolExecutor(processes) as pool:
            list(pool.map(self._train, runs))
            list(pool.map(self._trace, dict.fromkeys(pair.reference[0] for pair in pairs)))
            list(pool.map(self._replay, dict.fromkeys((pair.reference[0], pair.candidate[0]) for pair in pairs)))

    def legs(self, pair: Pair) -> tuple[LegRuns, LegRuns]:
        reference, candidate = (
            tuple(map(Source, map(self._run_folder, runs))) for runs in (pair.reference, pair.candidate)
        )
        replay = self._replay_file(pair.reference[0], pair.candidate[0])
        return read_leg(Leg("reference", reference)), read_leg(Leg("candidate", candidate, replay))

    def compare(self, pair: Pair) -> Comparison:
        reference, candidate = self.legs(pair)
        return judge(reference, [candidate], BOUNDS)

    def _train(self, run: Run) -> None:
        summary = RunFolder(self._run_folder(run)).summary
        if summary.is_file() and read_json(summary)["status"] == "finished":
            return
        data = ("--data-dir", self._datasets[run.dataset], "--cache-dir", self._folder / "cache")
        own = ("--seed", run.seed, "--threads", run.threads, "--run-dir", self._run_folder(run))
        self._dualgan(run, "train", "--train-epochs", 1_000_000, *data, *own, *self._given)

    def _trace(self, run: Run) -> None:
        places = ("--run-dir", self._run_folder(run), "--data-dir", self._datasets[run.dataset])
        rest = ("--cache-dir", self._folder / "cache", "--output", self._trace_file(run))
        if not self._trace_file(run).exists():
            self._dualgan(run, "trace", *places, *rest)

    def _replay(self, pair: tuple[Run, Run]) -> None:
        reference, candidate = pair
        output = self._replay_file(reference, candidate)
        if not output.exists():
            files = (self._trace_file(reference), "--run-dir", self._run_folder(candidate), "--output", output)
            self._dualgan(candidate, "replay", *files)

    def _run_folder(self, run: Run) -> Path:
        return self._folder / run.name

    def _trace_file(self, run: Run) -> Path:
        return self._folder / f"{run.name}.npz"

    def _replay_file(self, reference: Run, candidate: Run) -> Path:
        return self._folder / f"{candidate.name}-as-{reference.name}.json"

    def _dualgan(self, run: Run, command: str, *arguments: object) -> None:
        """Run a command of dualgan as ``run``'s leg does it, broken or not."""
        environment = trainer_environment(dict(run.environment))
        environment["PYTHONPATH"] = os.pathsep.join([str(WORKING_TREE), environment["PYTHONPATH"]])
        called = [
            str(python_of(run.runtime)),
            "-m",
            "tests.verdict.worker",
            run.mutation,
            command,
            *map(str, arguments),
        ]
        finished = subprocess.run(called, env=environment, capture_output=True, text=True, check=False)
        # A replay ends with 1 if a bound does not hold: that is a result.
        if finished.returncode and not (command == "replay" and finished.returncode == 1):
            sys.exit(f"{' '.join(called)} failed:\n{finished.stderr}")


def judged_axes(comparison: Comparison) -> dict[AxisName, Axis]:
    """Return all axes but speed: the runs train beside one another."""
    return {AxisName(name): axis for name, axis in comparison.axes.items() if name != AxisName.PERFORMANCE}


def failed_axes(comparison: Comparison) -> list[AxisName]:
    return [name for name, axis in judged_axes(comparison).items() if axis.verdict is Verdict.FAIL]


def marks(comparison: Comparison) -> str:
    """Return the verdicts of the axes, each in a column of 12."""
    return "".join(f"{MARKS[axis.verdict]:<12}" for axis in comparison.axes.values())
