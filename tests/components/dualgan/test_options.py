"""The command line takes the references' names and spellings."""

from pathlib import Path

import pytest

from dualgan import options as train_options
from dualgan.cli import parser
from dualgan.errors import BadInput
from dualgan.options import TrainOptions, from_dict


def options_of(*arguments: str) -> TrainOptions:
    return train_options.from_arguments(parser().parse_args(["train", *arguments]))


def test_the_references_spellings_are_understood() -> None:
    assert options_of("--epoch", "7").train_epochs == options_of("--train_epochs", "7").train_epochs == 7
    assert options_of("--flip").flip and options_of("--flip", "True").flip
    assert not options_of("--flip", "False").flip and not options_of().flip
    assert options_of("--dataset_name", "facades", "--log_freq", "10").log_freq == 10


def test_relative_paths_are_recorded_absolute_and_addresses_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert options_of("--data_dir", "faces").data_dir == str(tmp_path / "faces")
    assert options_of("--init-from", "old/model-7").init_from == str(tmp_path / "old" / "model-7")
    assert options_of("--init-from", "s3://team/model-7").init_from == "s3://team/model-7"
    assert options_of("--init-from", "").init_from == options_of().init_from == ""


def test_presets_are_the_ascend_scripts_and_give_way_to_options() -> None:
    assert options_of("--preset", "full").train_epochs == 100
    assert options_of("--preset", "performance").train_epochs == 1
    assert options_of("--preset", "performance", "--train_epochs", "2").train_epochs == 2


def test_losses_are_scaled_in_two_runs_only() -> None:
    assert options_of("--loss_scale", "dynamic", "--step_mode", "two-run").loss_scale == "dynamic"
    with pytest.raises(BadInput, match="--loss_scale dynamic: needs --step_mode two-run"):
        options_of("--loss_scale", "dynamic", "--step_mode", "one-run")


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        *(({"flip": value}, "flip", True) for value in (True, "True", "true")),
        # Kubeflow Pipelines hands every number over as a float, and YAML makes False of the word off.
        *(({"loss_scale": value}, "loss_scale", "1024") for value in ("1024", 1024, 1024.0)),
        ({"loss_scale": False}, "loss_scale", "off"),
        *(({"dataset_name": value}, "dataset_name", "2024") for value in ("2024", 2024, 2024.0)),
        ({"npu_parameters": {"debug_dir": "/c"}}, "npu_parameters", '{"debug_dir": "/c"}'),
        ({"npu_parameters": '{"debug_dir":"/c"}'}, "npu_parameters", '{"debug_dir":"/c"}'),
        *(({"max_steps": value}, "max_steps", 30) for value in (30, 30.0, "30")),
        *(({"seed": value}, "seed", 2**32 - 1) for value in (2**32 - 1, "4294967295")),
        *(({name: "0.5"}, "lambda_A", 0.5) for name in ("lambda_A", "lambda-a")),
        ({"epoch": "3"}, "train_epochs", 3),
    ],
)
def test_a_mapping_is_taken_by_the_options_own_types(given: dict[str, object], name: str, expected: object) -> None:
    found = from_dict(given)
    assert getattr(found, name) == expected and type(getattr(found, name)) is type(expected)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"max_steps": "Infinity"}, "option max_steps: 'Infinity' is not of type int"),
        ({"max_steps": float("inf")}, "option max_steps: inf is not of type int"),
        ({"seed": 2**32}, "--seed 4294967296: must be from 0 to 4294967295"),
        ({"lr": "fast"}, "option lr: 'fast' is not of type float"),
        *(
            ({"loss_scale": text}, f"--loss_scale {text}: must be off, dynamic")
            for text in ("on", "0", "-8", "nan", "inf")
        ),
        ({"flip": "yes"}, "option flip: 'yes' is not of type bool"),
        ({"dataset_name": True}, "option dataset_name: True is not of type str"),
        ({"data_dir": "/a\udcff"}, "not UTF-8"),
        ({"image_size": None}, "option image_size: None is not of type int"),
        ({"image_sise": 64}, "training option 'image_sise': unknown; known are"),
    ],
)
def test_a_mapping_that_does_not_fit_is_named(given: dict[str, object], named: str) -> None:
    with pytest.raises(BadInput) as caught:
        from_dict(given)
    assert named in str(caught.value)


@pytest.mark.parametrize("arguments", [("--flip", "maybe"), ("--phase", "deploy"), ("--no_such_option", "1")])
def test_anything_else_is_refused_by_its_name(arguments: tuple[str, str]) -> None:
    with pytest.raises(BadInput, match=arguments[0]):
        options_of(*arguments)
