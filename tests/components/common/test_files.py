import contextlib
import logging
import threading
from pathlib import Path

import pytest

from components.common.files import locked, write_file


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_file(file, "ü")
    assert file.read_bytes() == "ü".encode()
    with pytest.raises(UnicodeEncodeError):
        write_file(file, "\udcff")
    write_file(file, b"\0")
    assert file.read_bytes() == b"\0"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_lock_keeps_others_waiting_and_leaves_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lock, order = tmp_path / "made" / "lock", ["first"]
    waits = threading.Event()

    def second() -> None:
        waits.set()
        with locked(lock, "waiting for the first"):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(lock, "waiting for nobody"):
        thread.start()
        assert waits.wait(10)
        while "waiting for the first" not in caplog.messages:
            thread.join(0.01)
        assert order == ["first"]
    # The folder goes with the work of whoever held the lock and failed.
    with contextlib.suppress(OSError):
        lock.parent.rmdir()
    thread.join(10)
    assert order == ["first", "second"]
    assert "waiting for nobody" not in caplog.messages
    assert not lock.exists()


def test_a_lock_that_cannot_be_made_is_an_error_at_once() -> None:
    with pytest.raises(OSError, match="/proc"), locked(Path("/proc/lock"), "waiting"):
        pass
