"""Tracking beside a training: a process of its own follows the run folder, so that training never waits for it.

In a process of its own it also adds nothing to the memory of the one that trains, and whatever becomes of it the
training ends as it would have.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from components.common.processes import Terminated
from components.tracking.advice import how_to_send
from components.tracking.follower import ENDED, EXIT_INCOMPLETE
from components.tracking.placement import Placement, write_placement
from components.tracking.store import WORKING_TREE

INTERVAL = 5.0
PATIENCE = 60.0
# Beyond the patience with MLflow: for starting, and for the last system metrics.
SECONDS_TO_END = 30.0


@contextlib.contextmanager
def follow_in_background(
    run_folder: Path,
    placement: Placement,
    title: str,
    report: Callable[[str], None],
    interval: float = INTERVAL,
    patience: float = PATIENCE,
) -> Iterator[None]:
    """Within ``with``, what the trainer writes into ``run_folder`` goes to MLflow every ``interval`` seconds.

    What goes wrong is said on standard output, each line begun with ``title``, or to ``report`` where the process
    itself did not live to say it. On leaving, the training process must have ended; then MLflow gets ``patience``
    seconds for what is still missing. Raises OSError where the file beside the run folder cannot be written.
    """
    placement = placement.with_environment()
    write_placement(run_folder, placement)
    process = _start(run_folder, placement, title, interval, patience)
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


def _start(
    run_folder: Path, placement: Placement, title: str, interval: float, patience: float
) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "ignore", "-m", "components.tracking.follower", str(run_folder)]
    command += ["--interval", str(interval), "--patience", str(patience), "--title", title]
    # The file beside the run folder holds no address with a password; the environment does.
    paths = [str(WORKING_TREE), str(WORKING_TREE / "components"), os.environ.get("PYTHONPATH", "")]
    variables = {
        "MLFLOW_TRACKING_URI": str(placement.tracking_uri),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    # A session of its own: Ctrl-C stops the trainer, and the follower sends what that wrote last.
    environment = {**os.environ, **variables}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, text=True, start_new_session=True)


def _end(process: "subprocess.Popen[str]", last_words: str, seconds: float) -> int:
    """Let the process end in ``seconds``, or else kill it; its exit code."""
    try:
        # It may be gone already.
        with contextlib.suppress(BrokenPipeError):
            process.communicate(f"{last_words}\n", timeout=seconds)
    except BaseException as error:
        process.kill()
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
    return process.wait()
