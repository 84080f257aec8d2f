"""``python -m components.tracking.follower RUN_FOLDER``: the process that live.follow_in_background starts.

It follows the run folder, and records system metrics, until its standard input ends; the line ENDED before that says
that the training process has ended, else it was this process's parent that went away.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from components.tracking.lean import leave_out_data_libraries

ENDED = "ended"
# sysexits' EX_TEMPFAIL; 1 and 2 are Python's own.
EXIT_INCOMPLETE = 75
NICENESS = 19


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m components.tracking.follower", description=__doc__)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--interval", type=float, required=True, help="seconds between two syncs")
    parser.add_argument("--patience", type=float, required=True, help="seconds for the last sync")
    parser.add_argument("--title", required=True, help="begins every line")
    chosen = parser.parse_args(arguments)
    # Where cores are few, it takes what the training leaves.
    os.nice(NICENESS)

    from components.common.console import print_status
    from components.tracking.follow import LiveTracking
    from components.tracking.placement import read_placement

    def report(text: str) -> None:
        print_status(f"{chosen.title}: {text}")

    placement = read_placement(chosen.run_folder).with_environment()
    with LiveTracking(chosen.run_folder, placement, chosen.interval, chosen.patience, report) as tracking:
        tracking.trainer_ended = _until_input_ends(chosen.run_folder)
    return 0 if tracking.complete else EXIT_INCOMPLETE


def _until_input_ends(run_folder: Path) -> bool:
    """Wait, recording system metrics; whether the training process has ended."""
    from components.tracking.system_metrics import (
        SystemMetricsRecorder,
        is_switched_on,
        sampling_interval,
        sources,
        system_metrics_file,
    )

    measured = sources() if is_switched_on() else []
    if not measured:
        return sys.stdin.readline().strip() == ENDED
    with SystemMetricsRecorder(system_metrics_file(run_folder), measured, sampling_interval()):
        return sys.stdin.readline().strip() == ENDED


if __name__ == "__main__":
    leave_out_data_libraries()
    sys.exit(main())
