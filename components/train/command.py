"""The trainer's command line, from a mapping of its options."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from dualgan.errors import BadInput
from dualgan.options import TrainOptions, from_dict, parsed_options

# Set for each run by the components, not by a profile or a pipeline parameter.
OWN = ("data_dir", "run_dir", "cache_dir", "device", "seed", "git_commit")


def checked_options(options: Mapping[str, Any]) -> TrainOptions:
    """The trainer's options with everything else at its default. Raises BadInput for an unknown name or a bad value."""
    parsed = parsed_options(options)
    for name in OWN:
        if name in parsed:
            raise BadInput(f"training option {name!r}: unknown here; each run sets it for its legs")
    return from_dict(parsed)


def train_command(python: Path, options: TrainOptions) -> list[str]:
    """``python -m dualgan train`` with every option that is not at its default."""
    command = [str(python), "-m", "dualgan", "train"]
    for option in fields(TrainOptions):
        value = getattr(options, option.name)
        if value == option.default:
            continue
        command += [f"--{option.name}"] if value is True else [f"--{option.name}", str(value)]
    return command
