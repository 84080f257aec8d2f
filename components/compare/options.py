"""Which options legs must share, and where they do not."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.compare.leg import LegRun

# What belongs to a leg, not to the experiment: where it ran, where its files lie. Datasets compare by digest.
OWN_OPTIONS = frozenset({"device", "threads", "step_mode", "run_dir", "data_dir", "cache_dir", "git_commit"})

ABSENT = "absent"


@dataclass(frozen=True)
class OptionDifference:
    """An option whose value is not the same in all legs; ``values`` by leg, as JSON."""

    name: str
    values: Mapping[str, str]


def differing_options(legs: Sequence[LegRun]) -> tuple[OptionDifference, ...]:
    """The options that all legs should share and do not, by name."""
    names = sorted({name for leg in legs for name in leg.options.options} - OWN_OPTIONS)
    differences = []
    for name in names:
        values = {leg.name: _value(leg, name) for leg in legs}
        if len(set(values.values())) > 1:
            differences.append(OptionDifference(name, values))
    return tuple(differences)


def shared_options(legs: Sequence[LegRun]) -> dict[str, str]:
    """The options, as JSON, that have one value in all legs."""
    values = {name: {_value(leg, name) for leg in legs} for leg in legs for name in leg.options.options}
    return {name: next(iter(values[name])) for name in sorted(values) if len(values[name]) == 1}


def own_options(legs: Sequence[LegRun]) -> dict[str, dict[str, str]]:
    """The options of OWN_OPTIONS that differ, by name, then leg."""
    names = sorted({name for leg in legs for name in leg.options.options} & OWN_OPTIONS)
    by_name = {name: {leg.name: _value(leg, name) for leg in legs} for name in names}
    return {name: values for name, values in by_name.items() if len(set(values.values())) > 1}


def _value(leg: LegRun, name: str) -> str:
    return json.dumps(leg.options.options[name]) if name in leg.options.options else ABSENT
