"""The package for a cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import components

from pipelines.compile import compile_package
from pipelines.profile import known_profiles, load_profile


def compiled(profile: str, folder: Path) -> list[Any]:
    path = folder / f"{profile}.yaml"
    compile_package(load_profile(profile), path)
    components.load_component_from_file(str(path))
    return list(yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("name", known_profiles())
def test_the_graph_shows_every_leg_by_name_and_loads(tmp_path: Path, name: str) -> None:
    profile = load_profile(name)
    (specification, *_) = compiled(name, tmp_path)
    tasks = specification["root"]["dag"]["tasks"]
    legs = [leg.name for leg in profile.legs]
    candidates = [leg for leg in legs if leg != profile.reference]
    expected = {"dataset"} | {f"{step}-{leg}" for step in ("train", "sample") for leg in legs}
    expected |= {f"compare-{leg}-with-{profile.reference}" for leg in candidates}
    assert set(tasks) == expected | {f"publish-{leg}" for leg in candidates}
    assert all(task["taskInfo"]["name"] == key for key, task in tasks.items())
    for leg in legs:
        assert tasks[f"sample-{leg}"]["dependentTasks"] == ["dataset", f"train-{leg}"]


def test_each_leg_runs_in_its_own_image_on_its_own_accelerator(tmp_path: Path) -> None:
    specification, platform = compiled("ascend910-vs-gpu", tmp_path)
    executors = specification["deploymentSpec"]["executors"]
    npu, gpu = (executors[f"exec-train-{leg}"]["container"] for leg in ("npu", "gpu"))
    assert npu["image"] != gpu["image"]
    assert npu["resources"]["accelerator"]["resourceType"] == "huawei.com/Ascend910"
    assert gpu["resources"]["accelerator"]["resourceType"] == "nvidia.com/gpu"
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert pods["exec-train-npu"]["nodeSelector"]["labels"]["accelerator"] == "huawei-Ascend910"
    assert pods["exec-train-npu"]["tolerations"][0]["key"] == "huawei.com/Ascend910"


def test_a_candidate_is_published_on_a_node_for_its_image_without_taking_an_accelerator(tmp_path: Path) -> None:
    specification, platform = compiled("ascend910-vs-gpu", tmp_path)
    executors = specification["deploymentSpec"]["executors"]
    publish, train = (executors[f"exec-{step}-npu"]["container"] for step in ("publish", "train"))
    assert publish["image"] == train["image"]
    assert "accelerator" not in publish.get("resources", {})
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert pods["exec-publish-npu"] == pods["exec-train-npu"]
    assert specification["root"]["dag"]["tasks"]["publish-npu"]["dependentTasks"] == [
        "compare-npu-with-gpu",
        "train-npu",
    ]


def test_no_task_installs_packages_at_run_time(tmp_path: Path) -> None:
    (specification, *_) = compiled("local", tmp_path)
    for executor in specification["deploymentSpec"]["executors"].values():
        assert "pip install" not in " ".join(executor["container"]["command"])
