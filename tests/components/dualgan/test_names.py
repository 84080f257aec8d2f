"""Derived names fit, stay apart, and are the same each time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualgan.names import MAX_DATASET_NAME_BYTES, MAX_FILE_NAME_BYTES, plain_name, shortened


def test_a_name_that_fits_stays_as_it_is_and_longer_ones_stay_apart() -> None:
    assert [shortened(name, MAX_FILE_NAME_BYTES, ".png") for name in ("猫", "x" * 251)] == [
        "猫.png",
        "x" * 251 + ".png",
    ]
    assert shortened("猫" * 100 + "1", 60) != shortened("猫" * 100 + "2", 60)


@given(st.text(min_size=1), st.integers(14, 64))
def test_a_long_name_is_cut_between_characters_and_keeps_its_suffix(name: str, max_bytes: int) -> None:
    short = shortened(name, max_bytes, ".png")
    assert len(short.encode()) <= max_bytes and short.endswith(".png")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("🦊", "dataset-0a9f72e8"),
        ("🐱", "dataset-46eeaf23"),
        ("C", "C"),
        ("C#", "C-04022884"),
        ("a!b", "a-b-80f8c6e5"),
        ("a?b", "a-b-c2a7b64a"),
        ("cafe\u0301", "café"),
        ("हिन्दी", "हिन्दी"),
        ("faces (1), x=²", "faces (1), x=²"),
        ("", "dataset"),
    ],
)
def test_a_dataset_s_name_loses_nothing_without_a_trace(text: str, name: str) -> None:
    assert plain_name(text) == name


@given(st.text())
def test_the_name_of_a_name_is_itself_and_fits(text: str) -> None:
    for given_text in (text, text * 40):
        name = plain_name(given_text)
        assert plain_name(name) == name and 0 < len(name.encode()) <= MAX_DATASET_NAME_BYTES
