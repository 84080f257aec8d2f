"""Processes end with the one that started them, and a signal ends everything once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from components.common.processes import (
    Stopped,
    Terminated,
    child_process,
    exit_reason,
    terminations_raised,
    terminations_said,
)

SECONDS = 20.0
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
# A process that starts another one as the product does, and says its id.
PARENT = f"""
from components.common.processes import child_process
with child_process({SLEEP!r}, start_new_session=True) as child:
    print(child.pid, flush=True)
    child.wait()
"""


def is_gone(pid: int, seconds: float = SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_is_gone_with_its_parent_however_that_ends(signum: int) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        parent.send_signal(signum)
        parent.wait(SECONDS)
    assert is_gone(child)


# A task whose main thread heeds no signal, and the process that started it.
DEAF = """
def f():
    import ctypes, signal
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    print("deaf", flush=True)
    ctypes.CDLL(None).sleep(600)
"""
FAILING = """
def f():
    from dualgan.errors import BadInput
    raise BadInput('dataset x:\\n unknown')
"""


def task(source: str, folder: Path) -> list[str]:
    executor_input = f'{{"inputs": {{}}, "outputs": {{"outputFile": "{folder}/task/executor_output.json"}}}}'
    command = [sys.executable, "-m", "components.common.task", "kfp.dsl.executor_main", source]
    return [*command, "--executor_input", executor_input, "--function_to_execute", "f"]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Of tasks that leave nothing in the folder for temporary files."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    yield {**os.environ, "TMPDIR": str(temporary)}
    assert not list(temporary.iterdir())


def test_a_task_is_gone_in_seconds_after_its_run_was_killed_even_if_it_heeds_no_signal(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    code = f"""
import os
from components.common.processes import child_process
os.environ["DUALGAN_PARENT"] = str(os.getpid())
with child_process({task(DEAF, tmp_path)!r}, start_new_session=True) as child:
    print(child.pid, flush=True)
    child.wait()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout
        pid = int(run.stdout.readline())
        while run.stdout.readline().strip() != "deaf":
            assert run.poll() is None and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        run.kill()
    assert is_gone(pid, 5.0)


def test_a_task_leaves_its_error_beside_its_outputs(tmp_path: Path, environment: dict[str, str]) -> None:
    command = task(FAILING, tmp_path)
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 1 and answer.stderr.rstrip().endswith("unknown")
    error = (tmp_path / "task" / "error.json").read_text()
    assert error == '{"message": "dataset x: unknown", "exit_code": 2}'


def test_what_a_child_leaves_running_in_its_session_ends_with_it() -> None:
    start = f"import subprocess, sys; print(subprocess.Popen({SLEEP!r}).pid, flush=True)"
    with child_process([sys.executable, "-c", start], start_new_session=True, stdout=subprocess.PIPE) as child:
        assert child.stdout
        left = int(child.stdout.readline())
        child.wait(SECONDS)
    assert is_gone(left)


def test_a_child_that_does_not_heed_a_signal_is_killed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.common.processes.PROMPT_SECONDS", 0.2)
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    with (
        pytest.raises(ValueError, match="of the caller"),
        child_process([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as child,
    ):
        assert child.stdout
        child.stdout.readline()
        raise ValueError("of the caller")
    assert child.returncode == -signal.SIGKILL


def test_the_first_signal_is_raised_and_a_second_one_does_not_disturb_the_ending() -> None:
    seen: list[int] = []
    with terminations_raised(signal.SIGTERM, signal.SIGINT, on_first=seen.append):
        with pytest.raises(Terminated) as raised:
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert raised.value.code == 143 and seen == [signal.SIGTERM]
    with pytest.raises(Stopped, match=r"^stopped by SIGTERM$") as caught, terminations_said(signal.SIGTERM):
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.exit_code == 143


def test_a_hangup_that_nohup_ignores_stays_ignored() -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminations_raised(signal.SIGHUP):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, previous)


@pytest.mark.parametrize(
    ("exit_code", "said", "reason"),
    [
        (-9, "a warning of TensorFlow", "killed by SIGKILL, out of memory?"),
        (137, "", "killed by SIGKILL, out of memory?"),
        (-11, "", "killed by SIGSEGV (Segmentation fault)"),
        (-6, "F check failed: x == y", "killed by SIGABRT (Aborted): F check failed: x == y"),
        (1, "MemoryError: too big", "MemoryError: too big"),
        (3, "", "exit code 3, no reason given"),
    ],
)
def test_how_a_process_ended_is_said_in_words(exit_code: int, said: str, reason: str) -> None:
    assert exit_reason(exit_code, said) == reason
