"""The dozen figures that a reader of a pipeline's page looks for in a training."""

from collections.abc import Mapping
from typing import Any


def figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return losses, speed, steps, time and memory of a run's summary.json; None is what was not measured."""
    losses, times = summary.get("final_loss") or {}, summary.get("time") or {}
    return {
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
