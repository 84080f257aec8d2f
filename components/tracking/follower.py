"""Tracking beside a training: a process of its own follows the run folder, so that training never waits for MLflow.

It adds nothing to the memory of the process that trains, and whatever becomes of it the training ends as it would have.
``follow_in_background`` starts it as ``python -m components.tracking.follower RUN_FOLDER``. It follows the run folder,
and records system metrics, until its standard input ends; the line ENDED before that says that the training process
has ended, else it was the follower's parent that went away.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from components.common.background import in_background
from components.common.processes import Terminated
from components.tracking.placement import Placement, read_placement, write_placement
from components.tracking.reasons import explain, how_to_send
from components.tracking.store import TRACKING_VARIABLE, WORKING_TREE, leave_out_data_libraries, resolve_tracking_uri

INTERVAL = 5.0
PATIENCE = 60.0
# Beyond the patience with MLflow: for starting, and for the last system metrics.
SECONDS_TO_END = 30.0
ENDED = "ended"
# sysexits' EX_TEMPFAIL; 1 and 2 are Python's own.
EXIT_INCOMPLETE = 75
NICENESS = 19


@contextlib.contextmanager
def follow_in_background(
    run_folder: Path,
    placement: Placement,
    title: str,
    report: Callable[[str], None],
    interval: float = INTERVAL,
    patience: float = PATIENCE,
) -> Iterator[None]:
    """Within ``with``, what the trainer writes goes to MLflow; on leaving, the training process must have ended.

    What goes wrong is said on standard output.

    Args:
        run_folder: What the trainer writes.
        placement: Where it belongs in MLflow.
        title: Begins every line that is said.
        report: Gets what the follower itself did not live to say.
        interval: Seconds between two syncs.
        patience: Seconds that MLflow gets at the end for what is still missing.

    Raises:
        OSError: The file beside the run folder cannot be written.
    """
    placement = placement.with_environment()
    write_placement(run_folder, placement)
    command = [sys.executable, "-W", "ignore", "-m", "components.tracking.follower", str(run_folder)]
    command += ["--interval", str(interval), "--patience", str(patience), "--title", title]
    paths = [str(WORKING_TREE), str(WORKING_TREE / "components"), os.environ.get("PYTHONPATH", "")]
    # The file beside the run folder holds no address with a password; the environment does.
    environment = {
        **os.environ,
        TRACKING_VARIABLE: resolve_tracking_uri(placement.tracking_uri).reveal(),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    # A session of its own: Ctrl-C stops the trainer, and the follower sends what that wrote last.
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, text=True, start_new_session=True)
    last_words = ENDED
    try:
        yield
    except Terminated:
        # What the trainer could not say of its end any more is for whoever ends the whole pipeline.
        last_words = ""
        raise
    finally:
        exit_code = _end(process, last_words, patience + SECONDS_TO_END)
        if exit_code not in (0, EXIT_INCOMPLETE):
            report(
                f"{title}: live tracking ended early (exit code {exit_code}); MLflow may lack a part of this run; "
                f"{how_to_send(run_folder)}"
            )


def _end(process: "subprocess.Popen[str]", last_words: str, seconds: float) -> int:
    """Let the process end in ``seconds``, or else kill it; return its exit code."""
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(f"{last_words}\n", timeout=seconds)
    finally:
        process.kill()
    return process.wait()


class LiveTracking:
    """Sends what the trainer writes to MLflow every ``interval`` seconds, until ``follow`` is told that it ended.

    Attributes:
        trainer_ended: Whether the training process has ended by then.
        complete: Whether MLflow has everything.
        failures: How many syncs failed.
    """

    def __init__(self, run_folder: Path, placement: Placement, interval: float, report: Callable[[str], None]) -> None:
        # Here, since two threads that import MLflow at once get in each other's way.
        from components.tracking.sync import RunFolderSync

        self._sync = RunFolderSync(run_folder, placement)
        self._interval = interval
        self._report = report
        self._reasons: set[str] = set()
        self.trainer_ended = True
        self.complete = False
        self.failures = 0

    @property
    def run_id(self) -> str | None:
        """The MLflow run, None while nothing has reached it."""
        return self._sync.run_id

    def follow(self, ended: threading.Event) -> None:
        while not ended.wait(self._interval):
            self._attempt(ended=False)
        self.complete = self._attempt(ended=self.trainer_ended)

    def _attempt(self, ended: bool) -> bool:
        try:
            self._sync.step(ended=ended)
        except Exception as error:
            self.failures += 1
            reason = explain(error, self._sync.tracking_uri)
            if reason not in self._reasons:
                self._reasons.add(reason)
                self._report(f"MLflow tracking: {reason}; training goes on")
            return False
        return True


@contextlib.contextmanager
def live_tracking(
    run_folder: Path,
    placement: Placement,
    report: Callable[[str], None],
    interval: float = INTERVAL,
    patience: float = PATIENCE,
) -> Iterator[LiveTracking]:
    """Within ``with``, what the trainer writes goes to MLflow, from a thread; one last sync gets ``patience`` seconds.

    It also writes the file beside the run folder that a later sync reads. ``report`` gets every reason once, and at
    the end what is missing.
    """
    placement = placement.with_environment()
    write_placement(run_folder, placement)
    tracking = LiveTracking(run_folder, placement, interval, report)
    with in_background("live tracking", tracking.follow, patience):
        yield tracking
    if not tracking.complete:
        report(f"MLflow lacks a part of this run (failed attempts: {tracking.failures}); {how_to_send(run_folder)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Follow a run folder until standard input ends; return 0, or EXIT_INCOMPLETE if MLflow lacks something."""
    parser = argparse.ArgumentParser(prog="python -m components.tracking.follower", description=__doc__)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--interval", type=float, required=True, help="seconds between two syncs")
    parser.add_argument("--patience", type=float, required=True, help="seconds for the last sync")
    parser.add_argument("--title", required=True, help="begins every line")
    chosen = parser.parse_args(arguments)
    # If cores are few, it takes what the training leaves.
    os.nice(NICENESS)

    from components.common.console import print_status
    from components.tracking.system_metrics import recording

    def report(text: str) -> None:
        print_status(f"{chosen.title}: {text}")

    run_folder: Path = chosen.run_folder
    following = live_tracking(run_folder, read_placement(run_folder), report, chosen.interval, chosen.patience)
    with following as tracking, recording(run_folder):
        tracking.trainer_ended = sys.stdin.readline().strip() == ENDED
    return 0 if tracking.complete else EXIT_INCOMPLETE


if __name__ == "__main__":
    leave_out_data_libraries()
    sys.exit(main())
