"""make bench-verdict: break one leg at a time, leave others equal, and print what the comparison says of each."""

import argparse
import itertools
import platform
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from components.compare.axes.function import first_feed_difference
from components.compare.bounds import AxisName
from components.compare.verdict import Comparison
from components.dataset.fetch import fetch
from components.train.runtimes import is_set_up
from tests.verdict.legs import BOUNDS, Pair, Run, Trainings, failed_axes, marks
from tests.verdict.mutations import MUTATIONS, ONE_OF

DATASET = "synthetic://?seed=0&n=24&size=64"
OPTIONS = ("--image-size", "64", "--gcn", "8", "--dcn", "8", "--lr", "2e-4", "--flip", "--save-freq", "0")
EQUAL = ("another seed", "another runtime", "another number of threads")
SEEDS = (0, 1, 2, 3, 4, 5, 6, 7)


def broken_pairs(chosen: Sequence[str]) -> Iterator[Pair]:
    for mutation in chosen:
        yield Pair(mutation, (Run("sound"),), (Run(mutation, mutation=mutation),))


def equal_pairs(count: int) -> list[Pair]:
    """The first ``count`` of twenty, kinds in turns."""
    seeds = [Pair(EQUAL[0], (Run("sound"),), (Run("sound", seed=seed),)) for seed in SEEDS[1:]]
    others = [(EQUAL[1], "tf1", 1, SEEDS[:7]), (EQUAL[2], "tf2", 2, SEEDS[:6])]
    kinds = [seeds] + [
        [
            Pair(what, (Run("sound", seed=seed),), (Run(what, seed=seed, runtime=runtime, threads=threads),))
            for seed in chosen
        ]
        for what, runtime, threads, chosen in others
        if is_set_up(runtime)
    ]
    turns = [pair for turn in itertools.zip_longest(*kinds) for pair in turn if pair]
    return turns[:count]


def first_differing_step(trainings: Trainings, pair: Pair, comparison: Comparison) -> int | None:
    """The first step at which feed or replay show that the candidate is not equal; None if neither does."""
    reference, candidate = trainings.legs(pair)
    is_paired = reference.seeds == candidate.seeds
    fed = first_feed_difference(reference.first, candidate.first, BOUNDS) if is_paired else None
    replayed = comparison.axes[AxisName.ARITHMETIC].numbers.get("candidate", {}).get("first_departure_step")
    return min((step for step in (fed, replayed) if isinstance(step, int)), default=None)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-verdict", description=__doc__)
    parser.add_argument("--steps", type=int, default=200, help="training steps of a run (default: 200)")
    parser.add_argument("--processes", type=int, default=2, help="runs at the same time (default: 2)")
    parser.add_argument("--mutations", nargs="*", choices=MUTATIONS, default=list(MUTATIONS), help="default: all")
    parser.add_argument("--equal", type=int, default=20, help="how many pairs of equal legs (default: 20, all)")
    parser.add_argument("--reasons", action="store_true", help="print why an axis failed")
    arguments = parser.parse_args()
    pairs = [*broken_pairs(arguments.mutations), *equal_pairs(arguments.equal)]
    options = (*OPTIONS, "--max-steps", str(arguments.steps), "--sample-freq", "0")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fetch(DATASET, folder / "dataset")
        trainings = Trainings(folder, {"faces": folder / "dataset"}, options)
        trainings.train(pairs, arguments.processes)
        print(f"{date.today()}, {platform.machine()}; {' '.join(options)}\n")
        print(f"{'candidate':<38}{''.join(f'{name:<12}' for name in AxisName)}first seen at step")
        missed, alarms, equal = set(arguments.mutations), 0, 0
        for pair in pairs:
            comparison = trainings.compare(pair)
            failed = failed_axes(comparison)
            step = first_differing_step(trainings, pair, comparison)
            print(f"{pair.what:<38}{marks(comparison)}{'' if step is None else step}", flush=True)
            if arguments.reasons:
                for axis in failed:
                    print(f"    {axis}: {comparison.axes[axis].reason}")
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
