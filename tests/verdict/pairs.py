"""make bench-pairs: compare equal legs of three seeds on five datasets, and legs that go wrong late.

Trained with the options of the profile `local`. It prints how much each measure scatters from seed to seed and from leg
to leg, on which the choice of the judged ones rests.
"""

import argparse
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from components.compare.bounds import AxisName
from components.compare.leg import Leg as LegFolders
from components.compare.leg import LegRun, LegRuns, Source, read_leg
from components.compare.measure import ERRORS, LATE_SHARE, Values, last_steps, measure
from components.compare.statistics import mean
from components.compare.verdict import Verdict, worst
from dualgan.run_folder import NETWORKS, RunFolder, step_of
from tests.verdict.datasets import OWN, make
from tests.verdict.legs import MARKS, Pair, Run, Trainings, failed_axes, judged_axes, marks
from tests.verdict.mutations import LATE_MUTATIONS

FACES = "synthetic://?seed=0&n=160&size=64"
OPTIONS = ("--image-size", "64", "--gcn", "16", "--dcn", "16", "--lr", "2e-4", "--max-steps", "1200")
RECORDS = ("--save-freq", "600", "--sample-freq", "300", "--sample-images", "100000")
SEEDS = (0, 1, 2)
LEGS = {
    "tf1": Run("tf1", runtime="tf1"),
    "tf2": Run("tf2"),
    "tf2 two threads": Run("tf2 two threads", threads=2),
    "tf2 without oneDNN": Run("tf2 without oneDNN", environment=(("TF_ENABLE_ONEDNN_OPTS", "0"),)),
}
EQUAL = (("tf1", "tf2"), ("tf2", "tf2 two threads"), ("tf1", "tf2 two threads"), ("tf1", "tf2 without oneDNN"))


def runs_of(run: Run, dataset: str) -> tuple[Run, ...]:
    return tuple(replace(run, dataset=dataset, seed=seed) for seed in SEEDS)


def equal_pairs(datasets: Sequence[str]) -> list[Pair]:
    return [
        Pair(f"{dataset}: {one} and {other}", runs_of(LEGS[one], dataset), runs_of(LEGS[other], dataset))
        for dataset in datasets
        for one, other in EQUAL
    ]


def late_pairs() -> list[Pair]:
    return [
        Pair(f"faces: {mutation}", runs_of(LEGS["tf2"], "faces"), runs_of(Run(mutation, mutation=mutation), "faces"))
        for mutation in LATE_MUTATIONS
    ]


def measures(leg: LegRuns) -> Mapping[str, Sequence[float]]:
    """Return, of each run, the measures that training could be judged by."""
    found = {name: list(values) for name, values in measure(leg).values.items() if "loss" in name or "error" in name}
    at_checkpoints = [_measured_at(leg, step) for step in _sampled_steps(leg.first)]
    for name in ERRORS:
        by_run = zip(*(measured[name] for measured in at_checkpoints), strict=True)
        found[f"{name}, mean of checkpoints"] = [mean(errors) for errors in by_run]
    norms = [np.median(run.history.update_norms[-last_steps(run.history, LATE_SHARE) :], axis=0) for run in leg.runs]
    for network, sizes in zip(NETWORKS, zip(*norms, strict=True), strict=True):
        found[f"late size of {network}'s updates"] = list(sizes)
    return {name: [float(value) for value in values if value is not None] for name, values in found.items()}


def _measured_at(leg: LegRuns, step: int) -> Values:
    sources = tuple(Source(run.run, RunFolder(run.run).samples_of(step)) for run in leg.runs)
    return measure(read_leg(LegFolders(leg.name, sources))).values


def _sampled_steps(run: LegRun) -> list[int]:
    """The later half of the steps at which pictures were drawn."""
    steps = sorted(step_of(folder.name) or 0 for folder in RunFolder(run.run).samples.iterdir())
    return steps[len(steps) // 2 :]


def scatter_table(trainings: Trainings, pairs: Sequence[Pair]) -> list[str]:
    """Return a table of the standard deviations of logarithms: of seeds of a leg, and of the ratios of paired seeds."""
    seeds: dict[str, list[float]] = {}
    legs: dict[str, list[float]] = {}
    measured: dict[tuple[Run, ...], Mapping[str, Sequence[float]]] = {}
    for pair in pairs:
        for runs, leg in zip((pair.reference, pair.candidate), trainings.legs(pair), strict=True):
            if runs not in measured:
                measured[runs] = measures(leg)
        reference, candidate = measured[pair.reference], measured[pair.candidate]
        for name in reference:
            one, other = np.log(reference[name]), np.log(candidate[name])
            seeds.setdefault(name, []).extend(float(np.var(values, ddof=1)) for values in (one, other))
            legs.setdefault(name, []).append(float(np.var(other - one, ddof=1)))
    rows = [f"| {'Measure':<40} | Seed to seed | Leg to leg |", f"| {'-' * 40} | --- | --- |"]
    for name, variances in seeds.items():
        deviations = (100 * np.sqrt(np.mean(values)) for values in (variances, legs[name]))
        rows.append("| {:<40} | {:.1f}% | {:.1f}% |".format(name, *deviations))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-pairs", description=__doc__)
    parser.add_argument("folder", type=Path, help="where runs are kept; what is there is not trained again")
    parser.add_argument("--line-art", help="a fifth dataset: a source as `parity dataset fetch` takes it")
    parser.add_argument("--datasets", nargs="*", help="default: all")
    parser.add_argument("--processes", type=int, default=2, help="runs at the same time (default: 2)")
    parser.add_argument("--reasons", action="store_true", help="print the reason of each verdict but pass")
    arguments = parser.parse_args()
    sources = {"faces": FACES, **({"line-art": arguments.line_art} if arguments.line_art else {})}
    chosen = arguments.datasets or [*sources, *OWN]
    folders = make({name: sources[name] for name in sources}, arguments.folder / "datasets")
    trainings = Trainings(arguments.folder, folders, (*OPTIONS, *RECORDS))
    equal, late = equal_pairs(chosen), late_pairs() if "faces" in chosen else []
    trainings.train([*equal, *late], arguments.processes)
    print(f"{date.today()}, {platform.machine()}; {' '.join(OPTIONS)}, seeds {SEEDS}\n")
    print(f"{'pair':<50}{''.join(f'{name:<12}' for name in AxisName)}")
    found: list[Verdict] = []
    missed = 0
    for pair in [*equal, *late]:
        comparison = trainings.compare(pair)
        print(f"{pair.what:<50}{marks(comparison)}", flush=True)
        judged = judged_axes(comparison)
        if arguments.reasons:
            for name, axis in judged.items():
                if axis.verdict is not Verdict.PASS:
                    print(f"    {name}: {axis.reason}")
        if pair in equal:
            found.append(worst(axis.verdict for axis in judged.values()))
        else:
            missed += not failed_axes(comparison)
    print(f"\nequal pairs: {', '.join(f'{found.count(verdict)} {mark}' for verdict, mark in MARKS.items())}")
    print(f"caught: {len(late) - missed} of {len(late)} that go wrong late")
    for dataset in chosen:
        print(f"\n{dataset}\n" + "\n".join(scatter_table(trainings, [p for p in equal if p.what.startswith(dataset)])))


if __name__ == "__main__":
    main()
