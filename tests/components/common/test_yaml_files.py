"""YAML of strangers is plain data of bounded size, or one line that says what is wrong."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.common.yaml_files import MAX_BYTES, parse_yaml, read_yaml
from dualgan.errors import BadInput

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGE_BOMB = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [*{before}, *{before}]}}\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
LONG_BOMB = f"- &a {'x' * 100_000}\n" + "- *a\n" * 100


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (BOMB, "more than 200000 values"),
        (LONG_BOMB, "or 4194304 characters"),
        ("a: &a [*a]", "nested deeper than 64"),
        ("[" * 65 + "]" * 65, "nested deeper than 64"),
        ("[" * 100_000, "nested deeper than 64"),
        ("a: 99999999999999999999", "a whole number does not fit into 64 bits"),
        ("a: " + "9" * 5000, "Exceeds the limit"),
        ("1: a", "the key 1 is no text"),
        ("? [a]\n: b", "unhashable key"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: !!binary aGVsbG8=", "could not determine a constructor"),
        ('a: "\\ud800"', "surrogates not allowed"),
        ("a: !!int b", "invalid literal"),
        ("a: b: c", "mapping values are not allowed"),
        ("a\n---\nb", "2 documents, but one is wanted"),
        ("x" * (MAX_BYTES + 1), "larger than"),
        (b"\xff\xfe\xff", "can't decode"),
    ],
)
def test_what_is_out_of_bounds_is_one_line_and_takes_no_time(content: str | bytes, named: str) -> None:
    began = time.monotonic()
    with pytest.raises(BadInput) as refusal:
        parse_yaml(content, "mine.yaml")
    assert time.monotonic() - began < 5
    message = str(refusal.value)
    assert message.startswith("mine.yaml: no YAML: ") and named in message
    assert len(message.splitlines()) == 1 and len(message) < 500


def test_a_date_is_text_an_alias_is_what_it_stands_for_and_a_merge_key_is_a_key() -> None:
    assert parse_yaml("a: 2026-11-27\nb: &b {c: 1.5}\nd: *b", "") == {
        "a": "2026-11-27",
        "b": {"c": 1.5},
        "d": {"c": 1.5},
    }
    assert parse_yaml(MERGE_BOMB, "")["b"] == {"<<": [{"x": 1}, {"x": 1}]}
    assert parse_yaml("", "") is None


def test_a_file_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a regular file"):
        read_yaml(Path("/dev/null"))
    with pytest.raises(BadInput, match="No such file"):
        read_yaml(tmp_path / "none.yaml")


TOKENS = st.sampled_from(
    ["a", ": ", "\n", "- ", "  ", "[", "]", "{", "}", ", ", "&a ", "*a", "!!", "!!int ", "|", ">", "'", '"', "\\ud8",
     "1e999", "2026-01-01", "0x", "9" * 30, "---\n", "? ", "<<", "#", "%", "\t", "\x00", "\u202e", "\ud800", ".nan"]
)  # fmt: skip


@pytest.mark.stress
@pytest.mark.timeout(900)
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(st.lists(TOKENS, max_size=60).map("".join), st.text(max_size=200), st.binary(max_size=200)))
def test_nothing_but_plain_data_or_one_line_comes_of_any_text(content: str | bytes) -> None:
    try:
        repr(parse_yaml(content, "fuzz"))
    except BadInput as refusal:
        assert len(str(refusal).splitlines()) == 1
