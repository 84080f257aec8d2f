"""`npu-smi info`: tables in the vendor's documented format, of several versions and chips.

They were written after the documentation and not taken from a machine, for none with an NPU was at hand.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.tracking.npu_smi import npu_metrics, parse

OUTPUTS = Path(__file__).parent / "npu_smi_outputs"
MEGABYTES = 2**20 / 1e6


def parsed(name: str) -> dict[str, float]:
    return parse((OUTPUTS / f"{name}.txt").read_text())


def of_npu(metrics: dict[str, float], number: str) -> dict[str, float]:
    prefix = f"npu_{number}_"
    return {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}


def test_each_npu_has_its_utilization_power_temperature_and_memory() -> None:
    metrics = parsed("910B3-23.0.rc3")

    assert of_npu(metrics, "0") == {
        "utilization_percentage": 27.0,
        "power_usage_watts": 93.2,
        "temperature_celsius": 46.0,
        "memory_usage_megabytes": round(3335 * MEGABYTES, 1),
        "memory_usage_percentage": 5.1,
    }
    assert of_npu(metrics, "1")["memory_usage_percentage"] == 50.0
    assert len(metrics) == 10


def test_a_version_with_device_numbers_and_without_hugepages_is_understood() -> None:
    metrics = parsed("910A-21.0.2")

    assert of_npu(metrics, "0")["utilization_percentage"] == 88.0
    assert of_npu(metrics, "0")["memory_usage_percentage"] == 95.2
    assert of_npu(metrics, "4")["memory_usage_megabytes"] == 0.0


def test_chips_of_one_card_are_told_apart_by_their_device_number() -> None:
    metrics = parsed("310-20.2.0")

    assert [of_npu(metrics, number)["utilization_percentage"] for number in "01"] == [0.0, 13.0]
    assert of_npu(metrics, "1")["memory_usage_percentage"] == 30.0


def test_a_power_that_a_chip_does_not_tell_is_left_out_and_the_rest_is_there() -> None:
    metrics = parsed("910_93-24.1.rc2")

    assert of_npu(metrics, "0")["power_usage_watts"] == 167.9
    assert "power_usage_watts" not in of_npu(metrics, "1")
    assert of_npu(metrics, "1")["utilization_percentage"] == 41.0


def test_what_is_no_number_is_left_out_line_by_line() -> None:
    metrics = parsed("310P3-22.0.4-without-numbers")

    assert of_npu(metrics, "0") == {
        "temperature_celsius": 58.0,
        "memory_usage_megabytes": round(1235 * MEGABYTES, 1),
        "memory_usage_percentage": 5.7,
    }
    assert of_npu(metrics, "1")["utilization_percentage"] == 7.0
    assert "temperature_celsius" not in of_npu(metrics, "1")


@pytest.mark.parametrize("output", ["", "dcmi module initialize failed. ret is -8005\n", "| | |\n|0|OK|\n"])
def test_an_output_without_a_table_has_no_metrics(output: str) -> None:
    assert parse(output) == {}


@given(st.data())
def test_no_damage_to_an_output_is_an_error(data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(sorted(OUTPUTS.iterdir())))
    lines = file.read_text().splitlines()
    kept = [line for line in lines if data.draw(st.booleans())]
    place = data.draw(st.integers(0, len(kept)))
    kept.insert(place, data.draw(st.text(alphabet="|0123456789 /.:-NPUChipOK(%)", max_size=60)))

    assert all(isinstance(value, float) for value in parse("\n".join(kept)).values())


def test_the_program_of_the_machine_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "npu-smi"
    program.write_text(f'#!/bin/sh\n[ "$1" = info ] && cat "{OUTPUTS / "910A-21.0.2.txt"}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert npu_metrics() == parsed("910A-21.0.2")
