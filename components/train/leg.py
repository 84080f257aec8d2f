"""What the programs behind the components are told of a leg."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.tracking.runs import Role
from dualgan.errors import BadInput
from dualgan.options import DEVICES


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
    """The settings in a component's parameter. Raises BadInput for a name or device that is unknown."""
    try:
        leg = LegSettings(**content)
    except TypeError as error:
        raise BadInput(f"leg {content.get('name')}: {error}") from None
    if leg.device not in DEVICES:
        raise BadInput(f"leg {leg.name}: device {leg.device}: must be one of {', '.join(DEVICES)}")
    return leg
