"""What a profile may ask a cluster for, and that a mistake in it is found without one."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from parity.cli import main

POOL = {"node_selector": {"accelerator": "huawei-Ascend910"}}
ASCEND = {"accelerator": "huawei.com/Ascend910", **POOL}


def profile_file(folder: Path, resources: dict[str, Any], **changes: Any) -> str:
    leg = {"name": "npu", "runtime": "tf1", "device": "npu", "resources": resources}
    content = {"description": "d", "image": "i:1", "dataset": "synthetic", "recorded_reference": "published"}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**content, "legs": [leg], **changes}))
    return str(path)


def test_every_profile_of_the_project_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--dataset", "s3://team/faces"]) == 0
    assert capsys.readouterr().err == ""


def test_a_profile_for_a_cluster_is_not_sound_without_a_dataset_of_the_user_s(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "local"]) == 0
    capsys.readouterr()
    assert main(["check", "gpu"]) == 2
    errors = capsys.readouterr().err
    assert "profile gpu names no dataset: give --dataset" in errors and len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("resources", "named"),
    [
        ({"accelerator": "huawei.com/Ascend910"}, "accelerator huawei.com/Ascend910 without a pool"),
        ({**POOL, "accelerator": "NVIDIA_TESLA_K80"}, "'NVIDIA_TESLA_K80' is no resource of a device plugin"),
        ({**POOL, "accelerator": "huawei.com/Ascend 910"}, "is no resource of a device plugin"),
        ({**ASCEND, "cpu": "many"}, "'many' is no number of CPU cores"),
        ({**ASCEND, "cpu": "0"}, "'0' is no number of CPU cores"),
        ({**ASCEND, "memory": "96 GiB"}, "'96 GiB' is no amount of memory"),
        ({**ASCEND, "shared_memory": "-1Gi"}, "'-1Gi' is no amount of memory"),
        ({"node_selector": {"host arch": "arm"}}, "'host arch' is no key of a label"),
        ({"node_selector": {"host-arch": "a/b"}}, "'a/b' is no value of a label"),
        ({"node_selector": {"-x.io/a": "b"}}, "is no key of a label"),
        ({"tolerations": [{"key": "a", "operator": "Equal"}]}, "toleration a: Equal needs a value"),
        ({**ASCEND, "time_limit": 0}, "time_limit"),
        ({**ASCEND, "user": {"uid": -1, "gid": 1}}, "user.uid"),
    ],
)
def test_what_kubernetes_would_refuse_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], resources: dict[str, Any], named: str
) -> None:
    assert main(["check", profile_file(tmp_path, resources)]) == 2
    errors = capsys.readouterr().err
    assert named in errors and len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"image": "registry.example/team/cpu"}, "neither tag nor digest"),
        ({"image": "Registry/CPU:1"}, "is no image"),
        ({"image": "team/cpu@sha256:12"}, "is no image"),
        ({"image": "registry.example/dualgan-parity/cqu:1"}, "makes no such image"),
        ({"dataset": "sketch-foto"}, "sketch-photo"),
        ({"secrets": [{"name": "My_Secret", "variables": {"a": "B"}}]}, "'My_Secret' is no name of an object"),
        ({"secrets": [{"name": "mine", "variables": {"a": "1B"}}]}, "'1B' is no name of an environment variable"),
        ({"config_maps": [{"name": "mine", "variables": {"a b": "B"}}]}, "'a b' is no key"),
        ({"checkpoints": "/tmp/kept"}, "/tmp/kept: not a place in S3"),
        ({"retries": -1}, "retries"),
    ],
)
def test_what_no_pod_could_start_with_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], named: str
) -> None:
    assert main(["check", profile_file(tmp_path, ASCEND, **changes)]) == 2
    errors = capsys.readouterr().err
    assert named in errors and len(errors.splitlines()) == 1


@pytest.mark.parametrize("image", ["cpu:1", "localhost:5000/a/b:v1.2", f"r.io/a/b:1@sha256:{'0' * 64}"])
def test_images_by_tag_and_by_digest_are_taken(tmp_path: Path, image: str) -> None:
    assert main(["check", profile_file(tmp_path, {**ASCEND, "cpu": "500m"}, image=image)]) == 0
