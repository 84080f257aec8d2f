"""Names of pictures and datasets as keys: readable, the same every time, and of one name alone."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.publish.candidate import model_name
from components.tracking.images import MAX_IMAGE_BYTES, image_key
from components.tracking.runs import readable_key
from dualgan.names import MAX_FILE_NAME_BYTES
from dualgan.run_folder import SAMPLE_KINDS, Sample


@pytest.mark.parametrize("name", ["0000", "IMG_0001.v2-a b", "猫", "Žluťoučký kůň", "Z\u030clut\u030c", "ひらがな１"])
def test_a_name_of_letters_and_digits_is_its_own_key(name: str) -> None:
    assert readable_key(name, 100) == name


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a/b", "a_b-c14cddc0"),
        ("a+b", "a_b-300273da"),
        ("o'brien", "o_brien-"),
        ("\ud83d\ude00", "__-"),
        ("a\u202eb", "a_b-"),
        ("\udcff", "_-"),
    ],
)
def test_a_name_with_other_characters_has_a_digest(name: str, key: str) -> None:
    assert readable_key(name, 100).startswith(key)


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


def test_the_file_of_a_picture_with_a_long_name_and_its_thumbnail_have_legal_names() -> None:
    longest = "猫" * 80
    for kind in SAMPLE_KINDS:
        key = image_key(Sample(longest, kind, Path("x")))
        thumbnail = f"{key}+step+{10**9}+timestamp+{10**12}+{'0' * 36}+compressed.webp"
        assert len(thumbnail.encode()) <= MAX_FILE_NAME_BYTES
    assert MAX_IMAGE_BYTES >= 150
