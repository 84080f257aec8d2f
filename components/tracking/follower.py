"""Tracking beside a training: a process of its own follows the run folder, so that training never waits for MLflow.

It adds nothing to the memory of the process that trains, and whatever becomes of it the training ends as it would have.
``follow_in_background`` starts it as ``python -m components.tracking.follower RUN_FOLDER``. It follows the run folder,
and records system metrics, until its standard input ends; the line ENDED before that says that the training process
has ended, else it was the follower's parent that went away.
"""

import argparse
import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from components.common.processes import Terminated
from components.common.revision import WORKING_TREE
from components.tracking.reasons import explain, how_to_send
from components.tracking.store import TRACKING_VARIABLE, leave_out_data_libraries, resolve_tracking_uri
from components.tracking.target import TrackingTarget, read_target, write_target

INTERVAL = 5.0
PATIENCE = 90.0
ENDED = "ended"
# sysexits' EX_TEMPFAIL; 1 and 2 are Python's own.
EXIT_INCOMPLETE = 75
NICENESS = 19


@contextlib.contextmanager
def follow_in_background(
    run_folder: Path,
    target: TrackingTarget,
    title: str,
    report: Callable[[str], None],
    interval: float = INTERVAL,
    patience: float = PATIENCE,
) -> Iterator[None]:
    """Within ``with``, what the trainer writes goes to MLflow; on leaving, the training process must have ended.

    What goes wrong is said on standard output, ``report`` gets what the follower did not live to say.

    Args:
        run_folder: What the trainer writes.
        target: Where it belongs in MLflow; it is kept beside the run folder.
        title: Begins every line that is said.
        interval: Seconds between two syncs.
        patience: Seconds that the follower gets at the end, for what MLflow still lacks.
    """
    target = target.with_environment()
    write_target(run_folder, target)
    command = [sys.executable, "-W", "ignore", "-m", "components.tracking.follower", str(run_folder)]
    command += ["--interval", str(interval), "--title", title]
    paths = [str(WORKING_TREE), str(WORKING_TREE / "components"), os.environ.get("PYTHONPATH", "")]
    # The file beside the run folder holds no address with a password; the environment does.
    environment = {
        **os.environ,
        TRACKING_VARIABLE: resolve_tracking_uri(target.tracking_uri).reveal(),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    # A session of its own: Ctrl-C stops the trainer, and the follower sends what that wrote last.
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, text=True, start_new_session=True)
    last_words, is_late = ENDED, False
    try:
        yield
    except Terminated:
        # What the trainer could not say of its end any more is for whoever ends the whole pipeline.
        last_words = ""
        raise
    finally:
        try:
            process.communicate(f"{last_words}\n", timeout=patience)
        except subprocess.TimeoutExpired:
            is_late = True
        finally:
            process.kill()
        exit_code = process.wait()
        if is_late:
            error = TimeoutError(f"no whole answer within {patience:.0f} s")
            reason = explain(error, resolve_tracking_uri(target.tracking_uri))
            report(f"{title}: MLflow lacks a part of this run: {reason}; {how_to_send(run_folder)}")
        elif exit_code not in (0, EXIT_INCOMPLETE):
            report(
                f"{title}: live tracking ended early (exit code {exit_code}); MLflow may lack a part of this run; "
                f"{how_to_send(run_folder)}"
            )


def follow(run_folder: Path, wait: Callable[[], str | None], report: Callable[[str], None]) -> bool:
    """Send what the trainer writes to MLflow, again and again; return whether MLflow has everything at the end.

    Args:
        run_folder: What the trainer writes; the file beside it says where it belongs.
        wait: Returns None when it is time to send what is new, last words at the end: ENDED if the trainer has ended.
        report: Gets every reason why MLflow gets nothing once, and at the end whether something is missing.
    """
    from components.tracking.sync import RunFolderSync

    sync = RunFolderSync(run_folder, read_target(run_folder).with_environment())
    failures, reasons, last_words = 0, set[str](), None
    while last_words is None:
        last_words = wait()
        try:
            sync.step(ended=last_words == ENDED)
            complete = True
        except Exception as error:
            complete, failures = False, failures + 1
            reason = explain(error, sync.tracking_uri)
            if reason not in reasons:
                reasons.add(reason)
                report(f"MLflow tracking: {reason}; training goes on")
    if not complete:
        report(f"MLflow lacks a part of this run (failed attempts: {failures}); {how_to_send(run_folder)}")
    return complete


def main(arguments: Sequence[str] | None = None) -> int:
    """Follow a run folder until standard input ends; return 0, or EXIT_INCOMPLETE if MLflow lacks something."""
    parser = argparse.ArgumentParser(prog="python -m components.tracking.follower", description=__doc__)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--interval", type=float, required=True, help="seconds between two syncs")
    parser.add_argument("--title", required=True, help="begins every line")
    chosen = parser.parse_args(arguments)
    # If cores are few, it takes what the training leaves.
    os.nice(NICENESS)

    from components.common.console import print_status
    from components.tracking.system_metrics import recording

    with contextlib.ExitStack() as until_the_end:
        until_the_end.enter_context(recording(chosen.run_folder))

        def wait() -> str | None:
            if not select.select([sys.stdin], [], [], chosen.interval)[0]:
                return None
            # What it measures last is sent with the rest.
            until_the_end.close()
            return sys.stdin.readline().strip()

        complete = follow(chosen.run_folder, wait, lambda text: print_status(f"{chosen.title}: {text}"))
    return 0 if complete else EXIT_INCOMPLETE


if __name__ == "__main__":
    leave_out_data_libraries()
    sys.exit(main())
