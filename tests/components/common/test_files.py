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


def test_a_lock_that_cannot_be_made_is_an_error_at_once() -> None:
    with pytest.raises(OSError, match="/proc"), locked(Path("/proc/lock"), "waiting"):
        pass
