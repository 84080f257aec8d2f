"""Metrics of the machine while a leg trains: CPU, memory, disk, network and GPUs as MLflow measures them, and NPUs.

MLflow's own monitor thread asks the server before each sample and ends for good at the first answer that fails. Here
the samples go into a file beside the run folder, ``runs/gpu.system.jsonl`` of ``runs/gpu``, and from there to
MLflow by the same sync as the losses: an outage loses none.
"""

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from components.common.threads import in_background
from components.tracking.target import SYSTEM_METRICS, neighbour
from dualgan import npu_smi
from dualgan.run_folder import EventLog, read_events

logger = logging.getLogger(__name__)

# MLflow's own default and variables.
INTERVAL = 10.0
INTERVAL_VARIABLE = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
SWITCH = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"
SECONDS_TO_END = 15.0

Source = Callable[[], dict[str, float]]


def recording(run_folder: Path) -> contextlib.AbstractContextManager[None]:
    """Return a context in which system metrics are recorded beside ``run_folder``, unless they are switched off."""
    if os.environ.get(SWITCH, "true").lower() in ("false", "0"):
        return contextlib.nullcontext()
    try:
        interval = float(os.environ.get(INTERVAL_VARIABLE) or INTERVAL)
    except ValueError:
        interval = INTERVAL
    return recorded(neighbour(run_folder, SYSTEM_METRICS), sources(), interval if interval > 0 else INTERVAL)


def sources() -> list[Source]:
    """Return what can be measured on this machine."""
    import psutil
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
    from mlflow.system_metrics.metrics.rocm_monitor import ROCMMonitor

    # The first call of a process has no time to be a share of.
    psutil.cpu_percent()
    found = [_of_monitor(monitor()) for monitor in (CPUMonitor, DiskMonitor, NetworkMonitor)]
    for accelerator in (GPUMonitor, ROCMMonitor):
        try:
            found.append(_of_monitor(accelerator()))
        except Exception as error:
            logger.debug("no metrics of %s: %s", accelerator.__name__, error)
    return [*found, npu_smi.metrics] if shutil.which("npu-smi") else found


def _of_monitor(monitor: Any) -> Source:
    def sample() -> dict[str, float]:
        monitor.collect_metrics()
        metrics = dict(monitor.aggregate_metrics())
        monitor.clear_metrics()
        return metrics

    return sample


def recorded(
    file: Path, measured: Sequence[Source], interval: float = INTERVAL
) -> contextlib.AbstractContextManager[None]:
    """Return a context in which a sample of all ``measured`` goes into ``file`` every ``interval`` seconds.

    The first comes after a second at most, the last on leaving. An event is of type "system"; its step is the number
    of samples before it, and goes on where the file ends. Nothing is raised: a source that fails is left out of that
    sample, and a file that cannot be written ends the recording.
    """
    return in_background("system metrics", lambda ended: _record(file, measured, interval, ended), SECONDS_TO_END)


def _record(file: Path, measured: Sequence[Source], interval: float, ended: threading.Event) -> None:
    failed: set[str] = set()
    try:
        with contextlib.closing(EventLog(file)) as log:
            step = sum(1 for _ in read_events(file))
            # Shares of time are of the time between two samples.
            is_last = ended.wait(min(1.0, interval))
            while True:
                log.write(step, type="system", metrics=_sample(measured, failed))
                step += 1
                if is_last:
                    return
                is_last = ended.wait(interval)
    except (OSError, ValueError) as error:
        logger.warning("%s: no more system metrics: %s", file, error)


def _sample(measured: Sequence[Source], failed: set[str]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for source in measured:
        try:
            metrics.update(source())
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            if reason not in failed:
                failed.add(reason)
                logger.warning("a part of the system metrics is missing: %s", reason)
    return metrics
