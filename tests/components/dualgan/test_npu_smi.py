"""Which cards there are, in the tool's words, and what they do."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualgan.npu_smi import Listing, metrics, parse

OUTPUTS = Path(__file__).parent / "npu_smi_outputs"
MEGABYTES = 2**20 / 1e6


@pytest.mark.parametrize(
    ("file", "version", "cards"),
    [
        ("910A-21.0.2", "21.0.2", [("910A", "OK", 32255), ("910A", "OK", 32255)]),
        ("910B3-23.0.rc3", "23.0.rc3", [("910B3", "OK", 65536), ("910B3", "Warning", 65536)]),
        ("910_93-24.1.rc2", "24.1.rc2", [("Ascend910", "OK", 65536), ("Ascend910", "OK", 65536)]),
        ("310-20.2.0", "20.2.0", [("310", "OK", 8192), ("310", "OK", 8192)]),
        ("310P3-22.0.4-without-numbers", "22.0.4", [("310P3", "OK", 21534), ("310P3", "Critical", 21534)]),
    ],
)
def test_cards_and_the_driver_s_version_are_read(file: str, version: str, cards: list[tuple[object, ...]]) -> None:
    found = parse((OUTPUTS / f"{file}.txt").read_text())
    assert found.version == version
    assert [card[:3] for card in found.cards] == cards


def test_an_answer_that_is_no_table_holds_no_cards() -> None:
    assert parse("dcmi model initialized failed, because the device is used. ret is -8020\n") == Listing(None, [])


@pytest.mark.parametrize(
    ("file", "number", "values"),
    [
        (
            "910B3-23.0.rc3",
            "0",
            {
                "utilization_percentage": 27.0,
                "power_usage_watts": 93.2,
                "temperature_celsius": 46.0,
                "memory_usage_megabytes": round(3335 * MEGABYTES, 1),
                "memory_usage_percentage": 5.1,
            },
        ),
        # Device numbers, and no column for huge pages.
        ("910A-21.0.2", "0", {"utilization_percentage": 88.0, "memory_usage_percentage": 95.2}),
        ("910A-21.0.2", "4", {"memory_usage_megabytes": 0.0}),
        # Two chips of one card.
        ("310-20.2.0", "0", {"utilization_percentage": 0.0}),
        ("310-20.2.0", "1", {"utilization_percentage": 13.0, "memory_usage_percentage": 30.0}),
        # What a chip does not tell, or what is no number, is left out, and the rest is there.
        ("910_93-24.1.rc2", "0", {"power_usage_watts": 167.9}),
        ("910_93-24.1.rc2", "1", {"power_usage_watts": None, "utilization_percentage": 41.0}),
        (
            "310P3-22.0.4-without-numbers",
            "0",
            {
                "utilization_percentage": None,
                "power_usage_watts": None,
                "temperature_celsius": 58.0,
                "memory_usage_megabytes": round(1235 * MEGABYTES, 1),
                "memory_usage_percentage": 5.7,
            },
        ),
        ("310P3-22.0.4-without-numbers", "1", {"utilization_percentage": 7.0, "temperature_celsius": None}),
    ],
)
def test_what_each_chip_does_is_read(file: str, number: str, values: dict[str, float | None]) -> None:
    cards = {card.number: card.values for card in parse((OUTPUTS / f"{file}.txt").read_text()).cards}
    assert len(cards) == 2
    assert {name: cards[number].get(name) for name in values} == values


@given(st.data())
def test_no_damage_to_an_output_is_an_error(data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(sorted(OUTPUTS.iterdir())))
    kept = [line for line in file.read_text().splitlines() if data.draw(st.booleans())]
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
