"""From a mapping of options, as KFP hands it over, to the trainer's command line."""

import pytest

from components.train.leg import checked_options, train_arguments
from dualgan.cli import parser
from dualgan.errors import BadInput
from dualgan.options import from_arguments


def test_the_command_line_says_the_same_as_the_options() -> None:
    options = checked_options({"image_size": 64.0, "lr": 2e-4, "flip": True, "GAN_type": "wgan", "n_critic": 5})
    assert from_arguments(parser().parse_args(train_arguments(options))) == options


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_steps": 1.5}, "max_steps: 1.5 is not of type int"),
        ({"flip": "yes"}, "flip: 'yes' is not of type bool"),
        ({"run_dir": "/elsewhere"}, "'run_dir': unknown"),
        ({"GAN_type": "lsgan"}, "--GAN_type lsgan: must be one of wgan-gp, wgan, classic"),
    ],
)
def test_what_does_not_fit_is_named(options: dict[str, object], named: str) -> None:
    with pytest.raises(BadInput) as refusal:
        checked_options(options)
    assert named in str(refusal.value)
