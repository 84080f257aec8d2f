"""Which cards there are, in the tool's words, of which generation, and what each rounds factors to."""

from pathlib import Path

import pytest

from dualgan.devices.npu_smi import Card, Listing, generation, is_newer_than_910, parse, product_type

OUTPUTS = Path(__file__).parents[2] / "tracking" / "npu_smi_outputs"


@pytest.mark.parametrize(
    ("file", "listing"),
    [
        ("910A-21.0.2", Listing("21.0.2", [Card("910A", "OK", 32255), Card("910A", "OK", 32255)])),
        ("910B3-23.0.rc3", Listing("23.0.rc3", [Card("910B3", "OK", 65536), Card("910B3", "Warning", 65536)])),
        ("910_93-24.1.rc2", Listing("24.1.rc2", [Card("Ascend910", "OK", 65536), Card("Ascend910", "OK", 65536)])),
        ("310-20.2.0", Listing("20.2.0", [Card("310", "OK", 8192), Card("310", "OK", 8192)])),
        ("310P3-22.0.4-without-numbers", Listing("22.0.4", [Card("310P3", "OK", 21534), Card("310P3", "Critical")])),
    ],
)
def test_cards_and_the_driver_s_version_are_read(file: str, listing: Listing) -> None:
    assert parse((OUTPUTS / f"{file}.txt").read_text()) == listing


def test_an_answer_that_is_no_table_holds_no_cards() -> None:
    assert parse("dcmi model initialized failed, because the device is used. ret is -8020\n") == Listing(None, [])


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
