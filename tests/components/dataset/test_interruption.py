"""Fetches that are killed, that run at the same time, and that meet a full disk."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import psutil
import pytest

from components.dataset.transfer import OVERLAP
from dualgan.dataset_folder import content_digest
from tests.components.dataset.http_server import Answer, FaultyServer
from tests.components.dataset.made import everything_below, make_dataset, make_noisy_image, zipped

DEADLINE = 60.0
KILLS = 20
SECONDS_TO_END = 5.0
# A fetch that kills itself when it has unpacked so many images, or checked so many, for nobody else could be sure to
# meet that moment.
KILLING = """
import multiprocessing, os, signal, sys
from pathlib import Path
from components.common.console import Progress
from components.dataset.fetch import fetch

title, limit, source, destination = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
advance, done = Progress.advance, 0

def advance_or_die(self, count):
    global done
    advance(self, count)
    done += self._title == title
    if done == limit:
        print(*[process.pid for process in multiprocessing.active_children()], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

Progress.advance = advance_or_die
if __name__ == "__main__":
    fetch(source, destination)
"""


def start_fetch(source: str, destination: Path) -> subprocess.Popen[str]:
    """A process that fetches; it records no checksums."""
    return subprocess.Popen(
        [sys.executable, "-m", "parity", "dataset", "fetch", source, str(destination), "--no-lock"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def finished(process: subprocess.Popen[str]) -> str:
    """What a process wrote that must succeed."""
    output, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, errors
    return output


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for ``condition``, which must come while ``process`` still runs."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def partial_size(tmp_path: Path) -> int:
    partial = tmp_path / ".data.fetch" / "transfer" / "archive"
    return partial.stat().st_size if partial.exists() else 0


@pytest.mark.stress
@pytest.mark.parametrize(("etag", "overlap"), [('"first"', 0), (None, OVERLAP)])
def test_a_fetch_that_is_killed_at_20_moments_goes_on_each_time_and_ends_right(
    faulty: FaultyServer, tmp_path: Path, etag: str | None, overlap: int
) -> None:
    source = make_dataset(tmp_path / "large")
    for number in range(30):
        make_noisy_image(source / "train" / "A" / f"noisy-{number}.png", number)
    faulty.content = zipped(source, tmp_path / "large.zip").read_bytes()
    random = Random(4)
    for moment in sorted(random.randrange(1, len(faulty.content)) for _ in range(KILLS)):
        begins = max(0, partial_size(tmp_path) - overlap)
        # So the process is killed when it has written the byte of this moment, however fast anything is.
        faulty.usual = Answer(etag=etag, hold_after=moment - begins)
        process = start_fetch(faulty.url, tmp_path / "data")
        wait_until(lambda at=moment: partial_size(tmp_path) == at, process)  # type: ignore[misc]
        process.kill()
        process.communicate()
        assert faulty.requests.starts[-1] == begins
        faulty.go_on.set()
        faulty.go_on.clear()
        assert not (tmp_path / "data").exists()
    faulty.usual = Answer(etag=etag)
    finished(start_fetch(faulty.url, tmp_path / "data"))
    assert content_digest(tmp_path / "data") == content_digest(source)
    assert not list(tmp_path.glob(".data*"))


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended stays listed until its parent, by then another one, asks for it."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    ("title", "limit"), [pytest.param("unpacking", 100, marks=pytest.mark.stress), ("checking", 1)]
)
def test_a_fetch_that_is_killed_while_it_unpacks_or_checks_downloads_nothing_again(
    faulty: FaultyServer, tmp_path: Path, title: str, limit: int
) -> None:
    source = make_dataset(tmp_path / "large", ("train/A", "train/B"))
    for number in range(200):
        make_noisy_image(source / "train" / "A" / f"{number}.png", number, 16, 16)
    faulty.content = zipped(source, tmp_path / "large.zip").read_bytes()
    command = [sys.executable, "-c", KILLING, title, str(limit), faulty.url, str(tmp_path / "data")]
    killed = subprocess.run(command, check=False, timeout=60, stdout=subprocess.PIPE, text=True)
    assert killed.returncode == -signal.SIGKILL
    checking = [int(pid) for pid in killed.stdout.splitlines()[-1].split()]
    assert bool(checking) == (title == "checking")
    assert not (tmp_path / "data").exists()
    deadline = time.monotonic() + SECONDS_TO_END
    while any(map(runs, checking)):
        assert time.monotonic() < deadline, "what checks images outlives the fetch that it belongs to"
        time.sleep(0.05)
    finished(start_fetch(faulty.url, tmp_path / "data"))
    assert faulty.requests.starts == [0, len(faulty.content) - OVERLAP]
    assert content_digest(tmp_path / "data") == content_digest(source)
    assert not list(tmp_path.glob(".data*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_a_terminated_fetch_downloaded_is_kept(
    faulty: FaultyServer, dataset: Path, tmp_path: Path, number: signal.Signals
) -> None:
    faulty.usual = Answer(hold_after=200_000)
    process = start_fetch(faulty.url, tmp_path / "data")
    wait_until(lambda: partial_size(tmp_path) == 200_000, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors.endswith("; the same command goes on with what was transferred\n")
    assert partial_size(tmp_path) == 200_000
    faulty.go_on.set()
    faulty.usual = Answer()
    finished(start_fetch(faulty.url, tmp_path / "data"))
    assert faulty.requests.starts[-1] == 200_000
    assert content_digest(tmp_path / "data") == content_digest(dataset)


@pytest.mark.parametrize("is_killed", [False, True])
def test_of_two_fetches_at_once_one_works_and_the_other_finds_the_result_or_takes_over(
    faulty: FaultyServer, dataset: Path, tmp_path: Path, is_killed: bool
) -> None:
    faulty.answers.append(Answer(hold_after=100_000))
    first = start_fetch(faulty.url, tmp_path / "data")
    wait_until(lambda: partial_size(tmp_path) == 100_000, first)
    second = start_fetch(faulty.url, tmp_path / "data")
    assert second.stdout is not None
    assert second.stdout.readline() == f"{tmp_path}/data: waiting for another process that makes it\n"
    if is_killed:
        first.kill()
        first.communicate()
    else:
        faulty.go_on.set()
        assert content_digest(dataset) in finished(first)
    rest = finished(second)
    assert content_digest(dataset) in rest and (f"{tmp_path}/data: already there" in rest) != is_killed
    assert faulty.requests.starts == ([0, 100_000] if is_killed else [0])
    assert not list(tmp_path.glob(".data*"))


@pytest.mark.parametrize("form", ["archive", "folder", "download", "synthetic"])
def test_no_space_left_is_one_line_and_leaves_nothing(faulty: FaultyServer, tmp_path: Path, form: str) -> None:
    source = make_dataset(tmp_path / "large")
    make_noisy_image(source / "train" / "A" / "noisy.png", 0)
    archive = zipped(source, tmp_path / "large.zip")
    sources = {
        "archive": str(archive),
        "folder": str(source),
        "download": faulty.url,
        "synthetic": "synthetic://?n=1&size=256",
    }
    before = everything_below(tmp_path)
    command = [sys.executable, "-m", "parity", "dataset", "fetch", sources[form], f"{tmp_path}/out/data", "--no-lock"]

    def few_bytes_a_file() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=few_bytes_a_file, timeout=60)
    assert done.returncode == 1, done.stderr
    assert done.stderr == (
        f"error: {tmp_path}/out/data: no space left for it (File too large); free some, or name a folder elsewhere\n"
    )
    assert everything_below(tmp_path) == before


@pytest.mark.stress
def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    def peak(megabytes: int) -> int:
        """Of a fetch from an archive of so much, in MB."""
        source = make_dataset(tmp_path / f"{megabytes}")
        for number in range(megabytes):
            make_noisy_image(source / "train" / "A" / f"{number}.png", number, 600, 582)
        archive = zipped(source, tmp_path / f"{megabytes}.zip")
        program = (
            "import resource, sys; from parity.cli import main; code = main(['dataset', *sys.argv[1:]]);"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024); sys.exit(code)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, "fetch", str(archive), str(tmp_path / f"out-{megabytes}")],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return int(done.stdout.split()[-1])

    assert peak(60) < peak(2) + 30
