"""Which options legs must share, and where they do not."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.compare.leg import LegRun, LegRuns
from dualgan.options import LEG_OPTIONS

# What belongs to a leg, not to the experiment: where it ran, where its files lie. Datasets compare by digest.
OWN_OPTIONS = frozenset({*LEG_OPTIONS, "run_dir", "data_dir", "cache_dir", "git_commit"})
# What tells the runs of one leg apart.
RUN_OPTIONS = frozenset({"seed"})

ABSENT = "absent"


@dataclass(frozen=True)
class OptionDifference:
    """An option whose value is not the same in all legs; ``values`` by leg, as JSON."""

    name: str
    values: Mapping[str, str]


def differing_options(legs: Sequence[LegRuns]) -> tuple[OptionDifference, ...]:
    """The options that all runs of all legs should share and do not, by name."""
    runs = [run for leg in legs for run in leg.runs]
    names = sorted({name for run in runs for name in run.options.options} - OWN_OPTIONS - RUN_OPTIONS)
    differences = []
    for name in names:
        if len({_value(run, name) for run in runs}) > 1:
            differences.append(OptionDifference(name, {leg.name: _values(leg, name) for leg in legs}))
    return tuple(differences)


def shared_options(legs: Sequence[LegRuns]) -> dict[str, str]:
    """The options, as JSON, that have one value in all runs."""
    runs = [run for leg in legs for run in leg.runs]
    values = {name: {_value(run, name) for run in runs} for run in runs for name in run.options.options}
    return {name: next(iter(values[name])) for name in sorted(values) if len(values[name]) == 1}


def own_options(legs: Sequence[LegRuns]) -> dict[str, dict[str, str]]:
    """The options of a leg's or a run's own that differ, by name, then leg."""
    own = OWN_OPTIONS | RUN_OPTIONS
    names = sorted({name for leg in legs for run in leg.runs for name in run.options.options} & own)
    by_name = {name: {leg.name: _values(leg, name) for leg in legs} for name in names}
    return {name: values for name, values in by_name.items() if len(set(values.values())) > 1 or name in RUN_OPTIONS}


def _values(leg: LegRuns, name: str) -> str:
    return ", ".join(dict.fromkeys(_value(run, name) for run in leg.runs))


def _value(run: LegRun, name: str) -> str:
    return json.dumps(run.options.options[name]) if name in run.options.options else ABSENT
