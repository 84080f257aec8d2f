"""summary.json: what came out of a run, computed from its events."""

import math
import os
import re
import resource
import statistics
import sys
from array import array
from pathlib import Path
from typing import Any, Dict, Iterable, Optional, Sequence

from dualgan.run_folder import RECONSTRUCTION_METRICS, TIMING_METRICS, Event, is_training_step, min_loss

# The first steps of a process compile kernels and fill caches.
WARM_UP_STEPS = 5
FINAL_SHARE = 10


def timing(seconds: Sequence[float], batch_size: int) -> Dict[str, Optional[float]]:
    """sec_per_step (median) and its 95th percentile in seconds; images of both domains a second. None if unknown."""
    if not seconds or math.isnan(sum(seconds)):
        return dict.fromkeys(TIMING_METRICS)
    median = statistics.median(seconds)
    percentile_95 = sorted(seconds)[min(len(seconds) - 1, int(0.95 * len(seconds)))]
    return dict(zip(TIMING_METRICS, (median, percentile_95, 2 * batch_size / median)))


def machine_state() -> Dict[str, Optional[float]]:
    """How busy the machine is, on which a speed depends: its load of the last minute, cores, and their MHz (median)."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(errors="replace") if cpuinfo.exists() else ""
    frequencies = [float(value) for value in re.findall(r"^cpu MHz\s*:\s*([0-9.]+)$", text, re.MULTILINE)]
    mhz = statistics.median(frequencies) if frequencies else None
    return {"load_average": os.getloadavg()[0], "cores": os.cpu_count(), "cpu_mhz": mhz}


def summarise(
    events: Iterable[Event], status: str, reason: Optional[str], batch_size: int, times: Dict[str, float]
) -> Dict[str, Any]:
    """Return what summary.json says of the run itself. times: seconds of this process by what they went into."""
    # Of a million events a few numbers each fit into memory beside the training's, the events would not.
    losses = {name: array("d") for name in RECONSTRUCTION_METRICS}
    seconds = array("d")
    last: Event = {}
    skipped = 0
    for event in events:
        if event.get("type") in ("started", "resumed"):
            skipped = 0
        elif is_training_step(event):
            last = event
            for name, values in losses.items():
                values.append(event["metrics"].get(name, math.nan))
            skipped += 1
            if skipped > WARM_UP_STEPS:
                seconds.append(event.get("seconds", math.nan))
    # Means over the last tenth of the steps, at least 10 of them.
    window = min(len(losses["A_loss"]), max(10, len(losses["A_loss"]) // FINAL_SHARE))
    final: Dict[str, Any] = {"window": window}
    for name, values in losses.items():
        mean = sum(values[-window:]) / max(1, window)
        final[name] = mean if window and math.isfinite(mean) else None
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "status": status,
        "reason": reason,
        "steps": last.get("step", 0),
        "epochs": last.get("epoch", 0) + 1 if last else 0,
        "min_loss": min_loss(losses["A_loss"]),
        "final_loss": final,
        "time": times,
        "machine": machine_state(),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
        **timing(seconds, batch_size),
    }
