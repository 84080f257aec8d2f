"""What holds for all tests: tools of the system tier are named when they are missing, and a run says what it had."""

import functools
import inspect
import shutil
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from components.train.runtimes import RUNTIMES, is_set_up

# The programs that tests of the system tier need: @pytest.mark.system("chromium").
TOOLS = {
    "chromium": "chromium",
    "docker": "docker",
    "docker-registry": "docker-registry",
    "kubectl": "kubectl",
    "nginx": "nginx",
    "npm": "npm",
    "postgresql": "pg_ctlcluster",
}


@functools.cache
def is_there(tool: str) -> bool:
    """Whether a tool's program is on PATH; Docker's is of no use without an engine that answers."""
    if not shutil.which(TOOLS[tool]):
        return False
    return tool != "docker" or not subprocess.run(["docker", "version"], capture_output=True, check=False).returncode


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what it puts into the background with SIGINT ignored, and every process started from here on would
    # inherit that: tests of Ctrl-C would wait for nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # KFP's compiler asks a hundred times a package which function called it. Each time inspect looks for the source of
    # every frame among all modules: with pytest's frames and TensorFlow's modules a package takes 8 seconds, not 0.3.
    inspect.stack = functools.partial(inspect.stack, 0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--skip-nothing", action="store_true", help="fail where a tool or runtime is missing")


def pytest_report_header(config: pytest.Config) -> str:
    runtimes = [f"{name} {'set up' if is_set_up(name) else 'NOT set up'}" for name in RUNTIMES]
    tools = [f"{name} {'found' if is_there(name) else 'NOT found'}" for name in TOOLS]
    return f"runtimes: {', '.join(runtimes)}\nsystem tools: {', '.join(tools)}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    marker = item.get_closest_marker("system")
    if marker is None:
        return
    missing = [tool for tool in marker.args if not is_there(tool)]
    if missing:
        message = f"needs {', '.join(missing)}, which this machine lacks"
        if item.config.getoption("--skip-nothing"):
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str], list[object]]:
    """Let a function run as before, and return the list that its first argument is added to at every call."""

    def count(owner: Any, name: str) -> list[object]:
        calls: list[object] = []
        function = getattr(owner, name)

        def noted(*arguments: Any, **options: Any) -> Any:
            calls.append(arguments[0])
            return function(*arguments, **options)

        monkeypatch.setattr(owner, name, noted)
        return calls

    return count
