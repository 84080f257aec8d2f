"""Names of pictures and datasets as keys: readable, the same every time, and of one name alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.publish.candidate import model_name
from components.tracking.runs import readable_key

PLAIN = ["0000", "IMG_0001.v2-a b", "猫", "Žluťoučký kůň", "Z\u030clut\u030c", "ひらがな１"]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *((name, name) for name in PLAIN),
        ("a/b", "a_b-c14cddc0"),
        ("a+b", "a_b-300273da"),
        ("o'brien", "o_brien-"),
        ("\ud83d\ude00", "__-"),
        ("a\u202eb", "a_b-"),
        ("\udcff", "_-"),
    ],
)
def test_a_name_of_letters_and_digits_is_its_own_key_and_any_other_has_a_digest(name: str, key: str) -> None:
    found = readable_key(name, 100)
    assert found.startswith(key) and (found == name) == (name in PLAIN)


@given(st.sets(st.text(min_size=1, max_size=300), min_size=2, max_size=20), st.integers(30, 200))
def test_no_two_names_share_a_key_and_none_is_too_long(names: set[str], limit: int) -> None:
    keys = {readable_key(name, limit) for name in names}
    assert len(keys) == len(names)
    assert all(len(key.encode()) <= limit and not set("/+~'\"`\\%#?&:") & set(key) for key in keys)


def test_models_of_different_datasets_have_different_names() -> None:
    names = ["facades", "my.faces_2", "猫狗", "素描", "a b", "a-b", "a/b", "o'brien", "x" * 300, "x" * 301]
    assert [model_name(name) for name in names[:4]] == [f"dualgan-{name}" for name in names[:4]]
    assert len({model_name(name) for name in names}) == len(names)
    assert all(len(model_name(name).encode()) <= 255 and not set("/:'\"") & set(model_name(name)) for name in names)
