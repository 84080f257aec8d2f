"""The command line takes the references' names and spellings."""

import pytest

from dualgan import options as train_options
from dualgan.cli import parser
from dualgan.devices import DeviceOptions, device_options
from dualgan.errors import BadInput
from dualgan.options import TrainOptions


def options_of(*arguments: str) -> TrainOptions:
    return train_options.from_arguments(parser().parse_args(["train", *arguments]))


def test_the_references_spellings_are_understood() -> None:
    assert options_of("--epoch", "7").train_epochs == options_of("--train_epochs", "7").train_epochs == 7
    assert options_of("--flip").flip and options_of("--flip", "True").flip
    assert not options_of("--flip", "False").flip and not options_of().flip
    assert options_of("--dataset_name", "facades", "--log_freq", "10").log_freq == 10


def test_presets_are_the_ascend_scripts_and_give_way_to_options() -> None:
    assert options_of("--preset", "full").train_epochs == 100
    assert options_of("--preset", "performance").train_epochs == 1
    assert options_of("--preset", "performance", "--train_epochs", "2").train_epochs == 2


def test_a_device_s_own_options_have_one_default() -> None:
    assert device_options(options_of()) == DeviceOptions()
    assert device_options(options_of("--deterministic", "--loss_scale", "1024")) == DeviceOptions(
        deterministic=True, loss_scale="1024"
    )


def test_losses_are_scaled_in_two_runs_only() -> None:
    assert options_of("--loss_scale", "dynamic", "--step_mode", "two-run").loss_scale == "dynamic"
    with pytest.raises(BadInput, match="--loss_scale dynamic: needs --step_mode two-run"):
        options_of("--loss_scale", "dynamic", "--step_mode", "one-run")


@pytest.mark.parametrize("arguments", [("--flip", "maybe"), ("--phase", "deploy"), ("--no_such_option", "1")])
def test_anything_else_is_refused_by_its_name(arguments: tuple[str, str]) -> None:
    with pytest.raises(BadInput, match=arguments[0]):
        options_of(*arguments)
