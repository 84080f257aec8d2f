"""The trainer's command line, from a mapping of its options."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from dualgan.errors import BadInput
from dualgan.options import TrainOptions, from_dict

# Set for each run by the components, not by a profile or a pipeline parameter.
OWN = ("data_dir", "run_dir", "cache_dir", "device", "seed", "git_commit")


def checked_options(options: Mapping[str, Any]) -> TrainOptions:
    """The trainer's options with everything else at its default. Raises BadInput for an unknown name or a bad value."""
    types = {field.name: field.type for field in fields(TrainOptions)}
    checked = {}
    for name, value in options.items():
        if name not in types or name in OWN:
            known = ", ".join(sorted(set(types) - set(OWN)))
            raise BadInput(f"training option {name!r}: unknown; known are {known}")
        checked[name] = _converted(name, value, types[name])
    return from_dict(checked)


def _converted(name: str, value: Any, kind: Any) -> Any:
    """KFP hands every number of a dict over as a float: 64.0 is 64."""
    whole = kind is int and isinstance(value, (int, float)) and not isinstance(value, bool) and value % 1 == 0
    if whole:
        return int(value)
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind):
        return value
    raise BadInput(f"training option {name}: {value!r} is not of type {kind.__name__}")


def train_command(python: Path, options: TrainOptions) -> list[str]:
    """``python -m dualgan train`` with every option that is not at its default."""
    command = [str(python), "-m", "dualgan", "train"]
    for option in fields(TrainOptions):
        value = getattr(options, option.name)
        if value == option.default:
            continue
        command += [f"--{option.name}"] if value is True else [f"--{option.name}", str(value)]
    return command
