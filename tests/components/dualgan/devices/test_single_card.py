"""A training uses one card, whatever the launcher left in the environment."""

import pytest

from dualgan.devices import npu_environment
from dualgan.errors import BadInput


def test_what_a_launcher_leaves_out_is_filled_in() -> None:
    environment: dict[str, str] = {}
    npu_environment.prepare_single_card(environment)
    assert environment == {"RANK_ID": "0", "RANK_SIZE": "1", "JOB_ID": "10087", "ASCEND_DEVICE_ID": "0"}


def test_what_a_launcher_says_of_its_one_card_is_kept() -> None:
    environment = {"ASCEND_DEVICE_ID": "1", "DEVICE_ID": "3", "JOB_ID": "7"}
    npu_environment.prepare_single_card(environment)
    assert (environment["ASCEND_DEVICE_ID"], environment["DEVICE_ID"], environment["JOB_ID"]) == ("1", "3", "7")


def test_the_physical_number_of_a_card_is_left_to_the_adapter_to_translate() -> None:
    environment = {"DEVICE_ID": "5"}
    npu_environment.prepare_single_card(environment)
    assert "ASCEND_DEVICE_ID" not in environment


def test_what_describes_a_cluster_is_taken_out() -> None:
    cluster = {"RANK_TABLE_FILE": "/t.json", "CM_CHIEF_IP": "10.0.0.1", "CM_WORKER_SIZE": "1", "PATH": "/bin"}
    npu_environment.prepare_single_card(cluster)
    assert set(cluster) == {"PATH", "RANK_ID", "RANK_SIZE", "JOB_ID", "ASCEND_DEVICE_ID"}


@pytest.mark.parametrize("name", ["RANK_SIZE", "CM_WORKER_SIZE"])
def test_several_cards_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match=f"{name}=8, but a training uses one card"):
        npu_environment.prepare_single_card({name: "8"})
