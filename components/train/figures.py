"""The dozen figures that a reader of a pipeline's page looks for in a training."""

from collections.abc import Mapping
from typing import Any


def figures(summary: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a run's summary.json that were measured: losses, speed, steps, time and memory."""
    losses, times = summary.get("final_loss") or {}, summary.get("time") or {}
    found = {
        "steps": summary.get("steps"),
        "epochs": summary.get("epochs"),
        "min_loss": summary.get("min_loss"),
        "final_A_loss": losses.get("A_loss"),
        "final_B_loss": losses.get("B_loss"),
        "sec_per_step": summary.get("sec_per_step"),
        "images_per_sec": summary.get("images_per_sec"),
        "seconds": times.get("total"),
        "peak_memory_bytes": summary.get("peak_memory_bytes"),
        "peak_device_memory_bytes": summary.get("peak_device_memory_bytes"),
    }
    return {name: value for name, value in found.items() if value is not None}
