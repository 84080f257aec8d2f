"""Which cards there are, in the tool's words; its tables differ between versions."""

from pathlib import Path

import pytest

from dualgan.devices.npu_smi import Card, Listing, parse

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
