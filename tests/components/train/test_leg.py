"""From a mapping of options, as KFP hands it over, to the trainer's command line."""

import pytest

from components.train.leg import checked_options, leg_settings, train_arguments
from dualgan.cli import parser
from dualgan.errors import BadInput
from dualgan.options import from_arguments


def test_the_command_line_says_the_same_as_the_options() -> None:
    options = checked_options({"image_size": 64.0, "lr": 2e-4, "flip": True, "GAN_type": "wgan", "n_critic": 5})
    assert from_arguments(parser().parse_args(train_arguments(options))) == options


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(BadInput, match="'run_dir': unknown here; each run sets it for its legs"):
        checked_options({"run_dir": "/elsewhere"})
    with pytest.raises(BadInput, match="leg a: device abacus: must be one of cpu, gpu, npu"):
        leg_settings({"name": "a", "runtime": "tf2", "device": "abacus", "role": "candidate"})
