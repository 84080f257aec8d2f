"""A leg as the programs behind the components are told of it, and the trainer's options that it asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from components.tracking.runs import Role
from dualgan.errors import BadInput
from dualgan.options import DEVICES, TrainOptions, from_dict, parsed_options

# Set for each run by the components, not by a profile or a pipeline parameter.
OWN = ("data_dir", "run_dir", "cache_dir", "device", "seed", "git_commit")


@dataclass(frozen=True)
class LegSettings:
    """A leg as far as its trainer process is concerned.

    environment: variables of the trainer process alone; options: the trainer's options.
    """

    name: str
    runtime: str
    device: str
    role: Role
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def leg_settings(content: Mapping[str, Any]) -> LegSettings:
    """Return the settings in a component's parameter. Raises BadInput for a name or device that is unknown."""
    try:
        leg = LegSettings(**content)
    except TypeError as error:
        raise BadInput(f"leg {content.get('name')}: {error}") from None
    if leg.device not in DEVICES:
        raise BadInput(f"leg {leg.name}: device {leg.device}: must be one of {', '.join(DEVICES)}")
    return leg


def checked_options(options: Mapping[str, Any]) -> TrainOptions:
    """Return the trainer's options, those not given at their default. Raises BadInput for a wrong name or value."""
    parsed = parsed_options(options)
    for name in OWN:
        if name in parsed:
            raise BadInput(f"training option {name!r}: unknown here; each run sets it for its legs")
    return from_dict(parsed)


def train_arguments(options: TrainOptions) -> list[str]:
    """Return the arguments of ``dualgan`` that train with ``options``: each that is not at its default."""
    arguments = ["train"]
    for option in fields(TrainOptions):
        value = getattr(options, option.name)
        if value == option.default:
            continue
        arguments += [f"--{option.name}"] if value is True else [f"--{option.name}", str(value)]
    return arguments
