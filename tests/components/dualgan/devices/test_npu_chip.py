"""Which generation a card is of, by what npu-smi prints, and what it rounds factors to."""

import pytest

from dualgan.devices.npu_smi import Card, generation, is_newer_than_910, product_type


@pytest.mark.parametrize(
    ("name", "memory", "expected"),
    [
        ("910A", 32255, "910"),
        ("910ProB", 32768, "910"),
        ("910B", 32768, "910"),
        ("Ascend910", 32768, "910"),
        ("Ascend910", None, "910"),
        ("Ascend910", 65536, "A3"),
        ("910B1", 65536, "A2"),
        ("910B3", 65536, "A2"),
        ("910B4", 32768, "A2"),
        ("Ascend910B2", 65536, "A2"),
        ("910_9382", 65536, "A3"),
        ("Ascend910_9391", 65536, "A3"),
        ("950PR", 114688, "950"),
        ("310P3", 21527, None),
    ],
)
def test_a_card_s_generation(name: str, memory: int | None, expected: str | None) -> None:
    card = Card(name, "OK", memory)
    assert generation(card) == expected
    assert is_newer_than_910(card) == (expected in ("A2", "A3", "950"))


def test_no_card_is_of_no_generation() -> None:
    assert generation(None) is None and not is_newer_than_910(None)


@pytest.mark.parametrize(
    ("mode", "hf32", "expected"),
    [
        ("force_fp32", False, "float16"),
        ("allow_mix_precision", True, "float16"),
        ("must_keep_origin_dtype", False, "float32"),
        ("must_keep_origin_dtype", True, "hfloat32"),
        ("allow_fp32_to_bf16", False, "bfloat16"),
        ("allow_mix_precision_bf16", False, "bfloat16"),
    ],
)
def test_what_factors_of_products_are_rounded_to(mode: str, hf32: bool, expected: str) -> None:
    assert product_type(mode, hf32) == expected
