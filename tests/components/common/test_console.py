"""Lines that people read."""

import pytest

from components.common.console import Progress, print_line, print_status


def test_nothing_that_a_terminal_obeys_gets_through(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\x1b]0;title\x07 \x9b1m \u202eb\rc \udc80 汉字"
    print_line(hostile)
    print_status(hostile)
    Progress(hostile, 2).show(1, hostile)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    shown = r"a\x1b]0;title\x07 \x9b1m \u202eb\rc \udc80 汉字"
    assert lines[:2] == [shown, shown] and lines[2].startswith(f"{shown}: 1/2 {shown}")
