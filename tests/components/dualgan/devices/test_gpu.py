"""GPUs, as far as a machine without one can tell: what nvidia-smi says, what a session asks for, why there is none."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorflow.python.framework import config

from dualgan.devices import gpu, open_device
from dualgan.devices.gpu import Card
from dualgan.errors import BadInput
from dualgan.options import TrainOptions
from dualgan.tensorflow_v1 import tf


@pytest.fixture(autouse=True)
def unchanged_environment() -> Iterator[None]:
    """A device changes variables that CUDA reads."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.parametrize(
    ("visible", "answer", "expected"),
    [
        (None, "Tesla V100-SXM2-32GB, 450.80.02, 32510", Card("Tesla V100-SXM2-32GB", "450.80.02", 32510)),
        ("1,0", "NVIDIA H200, 570.86.10, 143771", Card("NVIDIA H200", "570.86.10", 143771)),
        # What the driver does not say, and a card that it has not.
        ("GPU-5a1f", "GRID A, [Not Supported], [N/A]", Card("GRID A", None, None)),
        ("7", "No devices were found", None),
    ],
)
def test_the_first_visible_card_is_the_one_that_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, answer: str, expected: Card | None
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    first = (visible or "0").split(",")[0]
    nvidia_smi(tmp_path, monkeypatch, f'case "$*" in *--id={first}) echo "{answer}";; *) exit 6;; esac')
    assert gpu.visible_card() == expected


def test_products_keep_float32_unless_it_is_allowed_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpu.TF32_OVERRIDE, "1")
    gpu.set_tensor_float_32(False)
    assert os.environ[gpu.TF32_OVERRIDE] == "0"
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
    gpu.set_tensor_float_32(True)
    assert gpu.TF32_OVERRIDE not in os.environ
    assert tf.config.experimental.tensor_float_32_execution_enabled()


def test_determinism_is_asked_for_in_every_way_that_a_version_knows() -> None:
    try:
        gpu.require_determinism()
        assert os.environ["TF_DETERMINISTIC_OPS"] == os.environ["TF_CUDNN_DETERMINISTIC"] == "1"
        assert gpu.determinism() == "enforced"
        assert config.is_op_determinism_enabled()
    finally:
        config.disable_op_determinism()


def test_a_session_takes_one_card_and_no_more_memory_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_visible_gpus", lambda: ["a card"])
    options = open_device("gpu").session_config().gpu_options
    assert options.allow_growth and options.visible_device_list == "0"
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_no_card_is_an_error_that_says_what_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="sees no GPU: it is built without CUDA"):
        open_device("gpu")
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: True)
    nvidia_smi(tmp_path, monkeypatch, "exit 9")
    assert "nvidia-smi finds no driver or no card" in gpu.why_no_gpu()
    nvidia_smi(tmp_path, monkeypatch, "echo Tesla V100-SXM2-32GB, 450.80.02, 32510")
    assert "the driver (450.80.02) lists Tesla V100-SXM2-32GB, but CUDA" in gpu.why_no_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert "CUDA_VISIBLE_DEVICES=-1 hides every one" in gpu.why_no_gpu()


@pytest.mark.parametrize(
    ("device", "options", "named"),
    [
        ("cpu", TrainOptions(precision_mode="force_fp32"), "--precision_mode: means nothing on --device cpu"),
        ("cpu", TrainOptions(deterministic=True), "--deterministic: means nothing on --device cpu"),
        ("gpu", TrainOptions(npu_parameters="{}"), "--npu_parameters: means nothing on --device gpu"),
        ("npu", TrainOptions(allow_tf32=True), "--allow_tf32: means nothing on --device npu"),
    ],
)
def test_an_option_of_another_device_is_refused(device: str, options: TrainOptions, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        open_device(device, options)
