"""The KFP components of the preflight, called as KFP's executor calls them."""

import pytest

from components.preflight.component import image_preflight, preflight
from components.train.runtimes import COMMIT_VARIABLE
from dualgan.errors import DualGANError


def test_the_first_task_fails_with_every_fault_each_on_a_line_of_its_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(COMMIT_VARIABLE, "aaaa")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(DualGANError, match=r"^3 faults before the start"):
        preflight("absent-folder", "", "", "", "cpu:1", "bbbb")
    lines = [line for line in capsys.readouterr().out.splitlines() if "preflight: " in line]
    assert len(lines) == 3
    for line, named in zip(lines, ("absent-folder", "MLFLOW_TRACKING_URI", "image cpu:1"), strict=True):
        assert named in line


def test_an_image_of_the_package_s_revision_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMMIT_VARIABLE, "aaaa")
    image_preflight("ascend:1", "aaaa")
    with pytest.raises(DualGANError, match="built from revision aaaa"):
        image_preflight("ascend:1", "bbbb")
