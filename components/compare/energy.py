"""The energy that a run took, where the machine's metrics beside its run folder report an accelerator's power."""

import re
from pathlib import Path

import numpy as np
from pydantic_core import from_json

from components.compare.leg import LegRun

# As GPUs (MLflow) and NPUs (npu-smi) are recorded in RUN_FOLDER.system.jsonl.
POWER = re.compile(r"(gpu|npu)_\d+(_\d+)?_power_usage_watts")
FEWEST_SAMPLES = 2


def energy_joules(run: LegRun) -> float | None:
    """Energy between the run's first and last event: power of all accelerators of its machine, integrated.

    None where fewer than FEWEST_SAMPLES samples of the time of the run report power, as on a CPU. It is the energy of
    the cards, not of the host.
    """
    began, ended = run.history.started, run.history.ended
    folder = run.run.resolve()
    file = folder.with_name(f"{folder.name}.system.jsonl")
    if began is None or ended is None or not file.is_file():
        return None
    samples = [(time, watts) for time, watts in _samples(file) if began <= time <= ended]
    if len(samples) < FEWEST_SAMPLES:
        return None
    times, watts = np.asarray(samples).T
    # What lies before the first and after the last sample is as these are.
    return float(np.trapezoid([watts[0], *watts, watts[-1]], [began, *times, ended]))


def _samples(file: Path) -> list[tuple[float, float]]:
    """(seconds since 1970, watts) of each line that reports power; broken lines are none."""
    samples = []
    for line in file.read_bytes().splitlines():
        try:
            event = from_json(line)
            powers = [float(value) for name, value in event["metrics"].items() if POWER.fullmatch(name)]
            if powers:
                samples.append((float(event["time"]), sum(powers)))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return samples
