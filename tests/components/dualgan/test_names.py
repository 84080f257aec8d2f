"""Derived names fit, stay apart, and are the same each time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualgan.names import MAX_FILE_NAME_BYTES, shortened


@pytest.mark.parametrize("name", ["face", "猫", "x" * 251])
def test_a_name_that_fits_stays_as_it_is(name: str) -> None:
    assert shortened(name, MAX_FILE_NAME_BYTES, ".png") == f"{name}.png"


@given(st.text(min_size=1), st.integers(14, 64))
def test_a_long_name_is_cut_between_characters_and_keeps_its_suffix(name: str, max_bytes: int) -> None:
    short = shortened(name, max_bytes, ".png")
    assert len(short.encode()) <= max_bytes and short.endswith(".png")
    assert shortened(name, max_bytes, ".png") == short


def test_names_that_differ_at_their_end_stay_apart() -> None:
    assert shortened("猫" * 100 + "1", 60) != shortened("猫" * 100 + "2", 60)
