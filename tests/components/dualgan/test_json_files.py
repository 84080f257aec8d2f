"""What comes from outside: JSON of any kind is read within bounds, and what is printed cannot command a terminal."""

import json
import os
from pathlib import Path

import pytest

from dualgan.errors import EXIT_BAD_INPUT, BadInput, exit_code_of, printable
from dualgan.json_files import DamagedFile, parse_object, read_json
from dualgan.run_folder import Mark, events_after, read_events


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b'{"a":' * 100_000, "nested deeper than 64"),
        (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "nested deeper than 64"),
        (b'{"a": "\\udc00"}', "surrogates not allowed"),
        (b'{"a": 1' + b"0" * 20 + b"}", "does not fit into 64 bits"),
        (b'{"a": ' + b"9" * 5000 + b"}", "does not fit into 64 bits"),
        (b"\xff\xfe{}", "not JSON"),
        (b"", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"a": "' + b"a" * 2000 + b'"}', "larger than 1000 bytes"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, content: bytes, named: str) -> None:
    file = tmp_path / "options.json"
    file.write_bytes(content)
    limit = 1000 if len(content) == 2009 else 1 << 20
    with pytest.raises(DamagedFile) as caught:
        read_json(file, limit)
    assert str(caught.value).startswith(f"{file}: ") and named in str(caught.value)
    assert len(str(caught.value)) < 400 and caught.value.exit_code == EXIT_BAD_INPUT


def test_any_script_and_emoji_are_read() -> None:
    assert parse_object('{"\\ud83d\\ude00": "猫", "n": NaN, "i": -5}', "x")["\U0001f600"] == "猫"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DamagedFile, match="not a regular file"):
        read_json(tmp_path / "pipe")
    with pytest.raises(DamagedFile, match="not a regular file"):
        read_json(tmp_path)


GOOD = {"step": 1, "time": 1.0, "seconds": 0.1, "epoch": 0, "metrics": {"A_loss": 0.5}}
WRONG: dict[str, list[object]] = {
    "step": [None, "1", 1.5, -1, True, 10**12, float("inf"), [1]],
    "time": ["now", -1, 1e300, float("nan"), None],
    "metrics": [[], {"A_loss": "0.1"}, {"A_loss": None}, {"A_loss": [0.1]}, "x"],
    "feed": [{}, ["1"], [[1.0]]],
    "seconds": ["1"],
    "epoch": [0.5],
    "update_norms": [[1]],
    "type": [7],
}


@pytest.mark.parametrize("wrong", [{name: value} for name, values in WRONG.items() for value in values])
def test_an_event_of_other_types_is_named_by_its_line(tmp_path: Path, wrong: dict[str, object]) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(json.dumps(GOOD) + "\n" + json.dumps({**GOOD, **wrong}) + "\n")
    with pytest.raises(DamagedFile, match=f"{file}:2: {next(iter(wrong))}"):
        list(read_events(file))


def test_losses_that_are_not_finite_and_a_line_that_is_being_written_are_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    nan = {**GOOD, "metrics": {"A_loss": float("nan")}}
    file.write_text(json.dumps(GOOD) + "\n" + json.dumps(nan) + "\n" + '{"step": 3, "ti')
    assert [event["step"] for event in read_events(file)] == [1, 1]


def test_events_are_followed_from_a_mark_and_read_anew_if_they_were_rewritten(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    lines = [json.dumps({**GOOD, "step": step}) + "\n" for step in range(1, 5)]
    file.write_text("".join(lines[:2]) + lines[2][:5])
    *_, (_, mark) = events_after(file, Mark())
    assert (mark.number, mark.line.decode()) == (2, lines[1]) and not list(events_after(file, mark))
    file.write_text("".join(lines))
    assert [event["step"] for event, _ in events_after(file, mark)] == [3, 4]
    file.write_text("".join(lines[2:]))
    assert [event["step"] for event, _ in events_after(file, mark)] == [3, 4]
    assert [found.number for _, found in events_after(file, mark)] == [1, 2]


def test_what_a_terminal_would_obey_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("猫 é\t👨‍👩‍👧\n") == "猫 é\t👨‍👩‍👧\n"
    assert printable("a\x1b[2J\x07\x9b\u202eb\u2028\ud800\r") == "a\\x1b[2J\\x07\\x9b\\u202eb\\u2028\\ud800\\r"

    def fail(_: list[str]) -> int:
        raise BadInput("x\x1b]0;owned\x07.zip: not\nthere")

    assert exit_code_of(fail, []) == EXIT_BAD_INPUT
    assert capsys.readouterr().err == "error: x\\x1b]0;owned\\x07.zip: not there\n"


def test_an_error_that_nobody_expected_is_one_line_and_with_debug_its_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(arguments: list[str]) -> int:
        return len(arguments[0])

    assert exit_code_of(fail, []) == EXIT_BAD_INPUT
    line = capsys.readouterr().err
    assert line.startswith("error: IndexError at test_json_files.py:") and line.count("\n") == 1
    assert exit_code_of(fail, ["--debug"]) == EXIT_BAD_INPUT
    assert "Traceback (most recent call last)" in capsys.readouterr().err
    monkeypatch.setenv("DUALGAN_DEBUG", "1")
    exit_code_of(fail, [])
    assert "Traceback" in capsys.readouterr().err
