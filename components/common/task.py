"""python3 -m components.common.task MODULE SOURCE ...: one task of a pipeline, as every package starts it.

It runs KFP's executor (MODULE) on a component's source, or ends with 2 if its image is not of the package's revision.
If the component fails, error.json beside the task's outputs has the reason. A task of a run on this machine ends with
the process that started it, and ends what it has started itself.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.common.processes import Terminated, die_with_parent, ending_seconds, terminations_raised
from components.common.revision import require_package_revision
from dualgan.errors import EXIT_FAILED, BadInput, described

# The process id of the run on this machine that a task belongs to.
PARENT_VARIABLE = "DUALGAN_PARENT"
ERROR_FILE = "error.json"
POLL_SECONDS = 0.5


def main(arguments: Sequence[str]) -> None:
    """Run the task, and raise what its component raises."""
    module, source, *rest = arguments
    # KFP's own shell command sets it.
    os.environ["_KFP_RUNTIME"] = "true"
    # On this machine, a killed task leaves nothing outside of its folder.
    place = _task_folder(rest) if os.environ.get(PARENT_VARIABLE) else None
    with _ending_in_time(), tempfile.TemporaryDirectory(dir=place) as folder:
        file = Path(folder) / "ephemeral_component.py"
        file.write_text(source, encoding="utf-8")
        sys.argv = [module, "--component_module_path", str(file), *rest]
        try:
            importlib.import_module(module).executor_main()
        except Exception as error:
            content = {"message": described(error), "exit_code": getattr(error, "exit_code", EXIT_FAILED)}
            with contextlib.suppress(OSError, ValueError, LookupError):
                (_task_folder(rest) / ERROR_FILE).write_text(json.dumps(content), encoding="utf-8")
            raise


def _task_folder(arguments: Sequence[str]) -> Path:
    executor_input = json.loads(arguments[arguments.index("--executor_input") + 1])
    folder = Path(executor_input["outputs"]["outputFile"]).parent
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _ending_in_time() -> Iterator[None]:
    """Raise the first termination signal; in a run on this machine, also end within the seconds that it gives."""
    parent = int(os.environ.get(PARENT_VARIABLE) or 0)
    if not parent:
        # A container, whose engine takes care of that.
        with terminations_raised(signal.SIGTERM):
            yield
        return
    die_with_parent(signal.SIGTERM)
    if os.getppid() != parent:
        raise Terminated(signal.SIGTERM)
    threading.Thread(target=_watch, args=(parent,), name="parent", daemon=True).start()
    try:
        with terminations_raised(signal.SIGINT, signal.SIGTERM, on_first=_kill_all_later):
            yield
    finally:
        if os.getppid() != parent:
            # Nobody is there to end what this task may have left.
            _kill_all()


def _watch(parent: int) -> None:
    """End in time when ``parent`` is gone, even if the main thread is in a call that no signal interrupts."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    _kill_all_later(signal.SIGTERM)


def _kill_all_later(signum: int) -> None:
    later = threading.Timer(ending_seconds(signum), _kill_all)
    later.daemon = True
    later.start()


def _kill_all() -> None:
    """Kill all that descends from this process, and its own session with it."""
    import psutil

    found = psutil.Process().children(recursive=True)
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=0.5)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    try:
        require_package_revision()
    except BadInput as refusal:
        sys.stderr.write(f"error: {refusal}\n")
        sys.exit(refusal.exit_code)
    main(sys.argv[1:])
