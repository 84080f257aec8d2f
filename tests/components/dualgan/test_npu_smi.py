"""Which cards there are, in the tool's words, of which generation, and what each rounds factors to."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualgan.npu_smi import Card, Listing, generation, is_newer_than_910, metrics, parse, product_type

OUTPUTS = Path(__file__).parent / "npu_smi_outputs"
MEGABYTES = 2**20 / 1e6


@pytest.mark.parametrize(
    ("file", "listing"),
    [
        ("910A-21.0.2", Listing("21.0.2", [Card("910A", "OK", 32255), Card("910A", "OK", 32255)])),
        ("910B3-23.0.rc3", Listing("23.0.rc3", [Card("910B3", "OK", 65536), Card("910B3", "Warning", 65536)])),
        ("910_93-24.1.rc2", Listing("24.1.rc2", [Card("Ascend910", "OK", 65536), Card("Ascend910", "OK", 65536)])),
        ("310-20.2.0", Listing("20.2.0", [Card("310", "OK", 8192), Card("310", "OK", 8192)])),
        (
            "310P3-22.0.4-without-numbers",
            Listing("22.0.4", [Card("310P3", "OK", 21534), Card("310P3", "Critical", 21534)]),
        ),
    ],
)
def test_cards_and_the_driver_s_version_are_read(file: str, listing: Listing) -> None:
    found = parse((OUTPUTS / f"{file}.txt").read_text())
    assert found.version == listing.version
    assert [card[:3] for card in found.cards] == [card[:3] for card in listing.cards]


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


def parsed(name: str) -> dict[str, dict[str, float]]:
    """What each chip does, by the number that a program chooses it by."""
    return {card.number: card.values for card in parse((OUTPUTS / f"{name}.txt").read_text()).cards}


def test_each_npu_has_its_utilization_power_temperature_and_memory() -> None:
    chips = parsed("910B3-23.0.rc3")

    assert chips["0"] == {
        "utilization_percentage": 27.0,
        "power_usage_watts": 93.2,
        "temperature_celsius": 46.0,
        "memory_usage_megabytes": round(3335 * MEGABYTES, 1),
        "memory_usage_percentage": 5.1,
    }
    assert chips["1"]["memory_usage_percentage"] == 50.0
    assert len(chips) == 2


def test_a_version_with_device_numbers_and_without_hugepages_is_understood() -> None:
    chips = parsed("910A-21.0.2")

    assert chips["0"]["utilization_percentage"] == 88.0
    assert chips["0"]["memory_usage_percentage"] == 95.2
    assert chips["4"]["memory_usage_megabytes"] == 0.0


def test_chips_of_one_card_are_told_apart_by_their_device_number() -> None:
    chips = parsed("310-20.2.0")

    assert [chips[number]["utilization_percentage"] for number in "01"] == [0.0, 13.0]
    assert chips["1"]["memory_usage_percentage"] == 30.0


def test_a_power_that_a_chip_does_not_tell_is_left_out_and_the_rest_is_there() -> None:
    chips = parsed("910_93-24.1.rc2")

    assert chips["0"]["power_usage_watts"] == 167.9
    assert "power_usage_watts" not in chips["1"]
    assert chips["1"]["utilization_percentage"] == 41.0


def test_what_is_no_number_is_left_out_line_by_line() -> None:
    chips = parsed("310P3-22.0.4-without-numbers")

    assert chips["0"] == {
        "temperature_celsius": 58.0,
        "memory_usage_megabytes": round(1235 * MEGABYTES, 1),
        "memory_usage_percentage": 5.7,
    }
    assert chips["1"]["utilization_percentage"] == 7.0
    assert "temperature_celsius" not in chips["1"]


@given(st.data())
def test_no_damage_to_an_output_is_an_error(data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(sorted(OUTPUTS.iterdir())))
    lines = file.read_text().splitlines()
    kept = [line for line in lines if data.draw(st.booleans())]
    place = data.draw(st.integers(0, len(kept)))
    kept.insert(place, data.draw(st.text(alphabet="|0123456789 /.:-NPUChipOK(%)", max_size=60)))

    for card in parse("\n".join(kept)).cards:
        assert all(isinstance(value, float) for value in card.values.values())


def test_the_program_of_the_machine_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "npu-smi"
    program.write_text(f'#!/bin/sh\n[ "$1" = info ] && cat "{OUTPUTS / "910A-21.0.2.txt"}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert metrics()["npu_0_utilization_percentage"] == 88.0
