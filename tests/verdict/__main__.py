"""make bench-verdict: break one leg at a time, leave others equal, and print what the comparison says of each."""

import argparse
import itertools
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from components.compare.axes.function import first_feed_difference
from components.compare.bounds import AxisName, Bounds
from components.compare.judge import judge
from components.compare.leg import Leg, LegRuns, Source, read_leg
from components.compare.verdict import Comparison, Verdict
from components.dataset.fetch import fetch
from components.train.runtimes import WORKING_TREE, is_set_up, python_of, trainer_environment
from tests.verdict.mutations import MUTATIONS, ONE_OF

DATASET = "synthetic://?seed=0&n=24&size=64"
OPTIONS = ("--image_size", "64", "--gcn", "8", "--dcn", "8", "--lr", "2e-4", "--flip", "--save_freq", "0")
EQUAL = ("another seed", "another runtime", "another number of threads")
SEEDS = (0, 1, 2, 3, 4, 5, 6, 7)
BOUNDS = Bounds()


@dataclass(frozen=True)
class Run:
    """What one process trains. ``mutation``: of tests.verdict.mutations, or "none"."""

    name: str
    mutation: str = "none"
    seed: int = 0
    runtime: str = "tf2"
    threads: int = 1


@dataclass(frozen=True)
class Pair:
    """A reference and a candidate, and what the candidate is."""

    what: str
    reference: Run
    candidate: Run


class Table:
    """Trains what pairs need, each run once, and compares."""

    def __init__(self, folder: Path, steps: int) -> None:
        self._folder, self._steps = folder, steps
        self._dataset = folder / "dataset"
        fetch(DATASET, self._dataset)
        self._trained: set[Run] = set()

    @property
    def trace(self) -> Path:
        return self._folder / "trace.npz"

    def folder_of(self, run: Run) -> Path:
        return self._folder / run.name.replace(" ", "-")

    def record_trace(self, run: Run) -> None:
        command = [sys.executable, "-m", "dualgan", "trace", *self._options(run), "--output", str(self.trace)]
        self._process(command)

    def train(self, run: Run) -> None:
        """Train ``run`` and replay the trace as it, in a process of its own."""
        worker = (python_of(run.runtime), "-m", "tests.verdict.worker", run.mutation)
        files = ("--trace", self.trace, "--replay", self._replay(run), "--run_dir", self.folder_of(run))
        self._process([*map(str, (*worker, *files)), *self._options(run)])

    def compare(self, pair: Pair) -> Comparison:
        return judge(
            self._read(pair.reference, None), [self._read(pair.candidate, self._replay(pair.candidate))], BOUNDS
        )

    def first_unlike_step(self, pair: Pair, comparison: Comparison) -> int | None:
        """The first step at which feed or replay show that the candidate is not equal; None if neither does."""
        runs = [self._read(run, None).first for run in (pair.reference, pair.candidate)]
        differs = (
            first_feed_difference(runs[0], runs[1], BOUNDS) if pair.reference.seed == pair.candidate.seed else None
        )
        numbers = comparison.axes[AxisName.ARITHMETIC].numbers.get("candidate", {})
        departed = numbers.get("first_departure_step")
        steps = [step for step in (differs, departed) if isinstance(step, int)]
        return min(steps) if steps else None

    def _read(self, run: Run, replay: Path | None) -> LegRuns:
        name = "candidate" if replay else "reference"
        return read_leg(Leg(name, (Source(self.folder_of(run)),), replay))

    def _replay(self, run: Run) -> Path:
        return self.folder_of(run).with_suffix(".json")

    def _options(self, run: Run) -> list[str]:
        own = ("--seed", run.seed, "--threads", run.threads, "--max_steps", self._steps, "--sample_freq", 0)
        data = ("--data_dir", self._dataset, "--cache_dir", self._folder / "cache", "--train_epochs", 1_000_000)
        return [*map(str, (*own, *data)), *OPTIONS]

    def _process(self, command: Sequence[str]) -> None:
        environment = trainer_environment({})
        environment["PYTHONPATH"] = os.pathsep.join([str(WORKING_TREE), environment["PYTHONPATH"]])
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if finished.returncode:
            sys.exit(f"bench-verdict: {' '.join(command)} failed:\n{finished.stderr}")


def broken_pairs(chosen: Sequence[str]) -> Iterator[Pair]:
    for mutation in chosen:
        yield Pair(mutation, Run("seed 0"), Run(mutation, mutation=mutation))


def equal_pairs(count: int) -> list[Pair]:
    """The first ``count`` of twenty, kinds in turns."""
    kinds = [[pair for pair in _equal_pairs() if pair.what == what] for what in EQUAL]
    turns = [pair for turn in itertools.zip_longest(*kinds) for pair in turn if pair]
    return turns[:count]


def _equal_pairs() -> Iterator[Pair]:
    for seed in SEEDS[1:]:
        yield Pair(EQUAL[0], Run("seed 0"), Run(f"seed {seed}", seed=seed))
    other_runtimes = [runtime for runtime in ("tf1",) if is_set_up(runtime)]
    for seed in SEEDS[:7]:
        for runtime in other_runtimes:
            other = Run(f"{runtime} seed {seed}", seed=seed, runtime=runtime)
            yield Pair(EQUAL[1], Run(f"seed {seed}", seed=seed), other)
    for seed in SEEDS[:6]:
        other = Run(f"two threads seed {seed}", seed=seed, threads=2)
        yield Pair(EQUAL[2], Run(f"seed {seed}", seed=seed), other)


def row(what: str, comparison: Comparison, step: int | None) -> str:
    marks = {Verdict.PASS: "pass", Verdict.FAIL: "FAIL", Verdict.INCONCLUSIVE: "open", Verdict.NOT_MEASURED: "-"}
    axes = "".join(f"{marks[axis.verdict]:<12}" for axis in comparison.axes.values())
    return f"{what:<38}{axes}{'' if step is None else step}"


def judged_on(comparison: Comparison) -> list[str]:
    """The axes that failed, but speed: the pairs train beside one another."""
    axes = comparison.axes.items()
    return [name for name, axis in axes if axis.verdict is Verdict.FAIL and name is not AxisName.PERFORMANCE]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-verdict", description=__doc__)
    parser.add_argument("--steps", type=int, default=200, help="training steps of a run (default: 200)")
    parser.add_argument("--processes", type=int, default=2, help="runs at the same time (default: 2)")
    parser.add_argument("--mutations", nargs="*", choices=MUTATIONS, default=list(MUTATIONS), help="default: all")
    parser.add_argument("--equal", type=int, default=20, help="how many pairs of equal legs (default: 20, all)")
    parser.add_argument("--reasons", action="store_true", help="print why an axis failed")
    arguments = parser.parse_args()
    pairs = [*broken_pairs(arguments.mutations), *equal_pairs(arguments.equal)]
    with tempfile.TemporaryDirectory() as temporary:
        table = Table(Path(temporary), arguments.steps)
        table.record_trace(Run("seed 0"))
        runs = dict.fromkeys(run for pair in pairs for run in (pair.reference, pair.candidate))
        with ThreadPoolExecutor(arguments.processes) as pool:
            list(pool.map(table.train, runs))
        print(f"{date.today()}, {platform.machine()}; {arguments.steps} steps, {' '.join(OPTIONS)}\n")
        print(f"{'candidate':<38}{''.join(f'{name:<12}' for name in AxisName)}first seen at step")
        missed, alarms, equal = set(arguments.mutations), 0, 0
        for pair in pairs:
            comparison = table.compare(pair)
            failed = judged_on(comparison)
            print(row(pair.what, comparison, table.first_unlike_step(pair, comparison)), flush=True)
            if arguments.reasons:
                for axis in failed:
                    print(f"    {axis}: {comparison.axes[AxisName(axis)].reason}")
            if pair.what in MUTATIONS:
                missed -= {pair.what} if failed else set()
            else:
                equal, alarms = equal + 1, alarms + bool(failed)
    caught = {ONE_OF.get(name, name) for name in arguments.mutations} - {ONE_OF.get(name, name) for name in missed}
    print(f"\ncaught: {len(caught)} of {len({ONE_OF.get(name, name) for name in arguments.mutations})}")
    if equal:
        print(f"false alarms: {alarms} of {equal} equal pairs")


if __name__ == "__main__":
    main()
