"""Settings of one leg, and running the program ``dualgan`` with the leg's interpreter and environment.

The process never outlives its caller.
"""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, BinaryIO, NamedTuple

from components.common.processes import child_process, exit_reason
from components.tracking.runs import Role
from components.train.runtimes import python_of, trainer_environment
from dualgan.errors import EXIT_BAD_INPUT, BadInput, DualGANError
from dualgan.options import DEVICES, TrainOptions, from_dict, parsed_options

# Set for each run by the components, not by a profile or a pipeline parameter.
OWN = ("data_dir", "run_dir", "cache_dir", "device", "seed", "git_commit")
POLL_SECONDS = 0.5
TAIL_BYTES = 1 << 16


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
        if value != option.default:
            arguments += [f"--{option.name}", str(value)]
    return arguments


class ProcessResult(NamedTuple):
    """How ``dualgan`` ended: its exit code, and the end of what it wrote to standard output and standard error."""

    exit_code: int
    output: str
    errors: str


def run_dualgan(leg: LegSettings, arguments: Sequence[str], poll: Callable[[], None] = lambda: None) -> ProcessResult:
    """Run ``dualgan`` to its end, as the leg's runtime does; ``poll`` is called now and then meanwhile."""
    command = [str(python_of(leg.runtime)), "-m", "dualgan", *arguments]
    # A vendor's libraries say there whatever they have to say: a file never makes them wait for a reader.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        environment = trainer_environment(leg.environment)
        with child_process(command, env=environment, stdout=output, stderr=errors) as process:
            while process.returncode is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
                poll()
        return ProcessResult(process.returncode, tail(output), tail(errors))


def trainer_failure(leg: str, answer: ProcessResult) -> DualGANError:
    """Return the error that ``dualgan`` ended with: what killed it, or in its own words what it said last."""
    # Libraries may go on after the trainer's own last line.
    lines = answer.errors.strip().splitlines() or [""]
    last = ([line for line in lines if line.startswith("error: ")] or lines)[-1].removeprefix("error: ")
    kind = BadInput if answer.exit_code == EXIT_BAD_INPUT else DualGANError
    return kind(f"leg {leg}: {exit_reason(answer.exit_code, last)}")


def require_success(leg: LegSettings, answer: ProcessResult) -> str:
    """Return what ``dualgan`` wrote to standard output. Raises DualGANError, with its own line, if it failed."""
    if answer.exit_code:
        raise trainer_failure(leg.name, answer)
    return answer.output


def tail(file: BinaryIO) -> str:
    """Return the end of a file's text."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
    return file.read().decode("utf-8", "replace")
