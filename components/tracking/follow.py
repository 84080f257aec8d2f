"""Tracking from a thread that follows the run folder: training never waits for MLflow nor fails by it."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from components.tracking.advice import how_to_send
from components.tracking.live import INTERVAL, PATIENCE
from components.tracking.placement import Placement, write_placement
from components.tracking.reasons import explain
from components.tracking.sync import RunFolderSync
from dualgan.errors import DualGANError

logger = logging.getLogger(__name__)


class LiveTracking:
    """Within ``with``, what the trainer writes goes to MLflow every ``interval`` seconds, from a thread.

    It also writes the file beside the run folder that a later sync reads. On leaving, one last sync gets
    ``patience`` seconds; the training process must have ended, unless ``trainer_ended`` was made False.
    Afterwards ``complete`` says whether MLflow has everything, and ``failures`` how many syncs failed; ``report``
    gets every reason once, and at the end what is missing.
    """

    def __init__(
        self,
        run_folder: Path,
        placement: Placement,
        interval: float = INTERVAL,
        patience: float = PATIENCE,
        report: Callable[[str], None] = logger.warning,
    ) -> None:
        self._run_folder = run_folder
        self._placement = placement.with_environment()
        self._interval = interval
        self._patience = patience
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="live tracking", daemon=True)
        self._report = report
        self._reasons: set[str] = set()
        self._sync: RunFolderSync | None = None
        self._last_sync_succeeded = False
        self.trainer_ended = True
        self.failures = 0
        self.complete = False

    @property
    def run_id(self) -> str | None:
        """The MLflow run, None while nothing has reached it."""
        return self._sync.run_id if self._sync else None

    def __enter__(self) -> "LiveTracking":
        write_placement(self._run_folder, self._placement)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(self._patience)
        self.complete = self._last_sync_succeeded and not self._thread.is_alive()
        if not self.complete:
            self._report(
                f"MLflow lacks a part of this run (failed attempts: {self.failures}); {how_to_send(self._run_folder)}"
            )

    def _follow(self) -> None:
        while not self._ended.wait(self._interval):
            self._attempt(ended=False)
        self._last_sync_succeeded = self._attempt(ended=self.trainer_ended)

    def _attempt(self, ended: bool) -> bool:
        try:
            if self._sync is None:
                self._sync = RunFolderSync(self._run_folder, self._placement)
            self._sync.step(ended=ended)
        except Exception as error:
            self.failures += 1
            self._report_once(error)
            return False
        return True

    def _report_once(self, error: Exception) -> None:
        uri = self._placement.tracking_uri or ""
        reason = str(error) if isinstance(error, DualGANError) else explain(error, uri)
        if reason not in self._reasons:
            self._reasons.add(reason)
            self._report(f"MLflow tracking: {reason}; training goes on")
