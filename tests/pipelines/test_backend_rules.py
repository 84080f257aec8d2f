"""A real Kubeflow takes every package of ours; and the model of its rules refuses what the real one refuses."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl

from components.common.metadata import artifact_metadata
from components.publish.publish import Published
from components.train.train import figures
from dualgan.dataset_folder import Description
from pipelines.package import compile_package
from pipelines.profile import Profile, load_profile
from pipelines.profiles import known_profiles
from pipelines.scheduling import MAX_WAITING_SECONDS
from tests.pipelines.backend_rules import INJECTED, refused_output, refused_package

# What is measured of a run of a few steps: not everything.
SUMMARY = {
    "status": "finished",
    "reason": None,
    "steps": 3,
    "epochs": 2,
    "min_loss": math.nan,
    "final_loss": {"A_loss": None, "B_loss": 0.5, "window": 3},
    "time": {"total": 1.5, "training": math.inf},
    "sec_per_step": None,
    "peak_memory_bytes": 7,
}
UNPUBLISHED = Published("dualgan-faces", "1", ("challenger",), "why", "models:/x@y", "sqlite:///x", page=None)


@pytest.mark.parametrize("name", known_profiles())
def test_the_package_of_every_profile_is_admitted(tmp_path: Path, name: str) -> None:
    compile_package(load_profile(name), tmp_path / "package.yaml")
    assert refused_package(tmp_path / "package.yaml") == []


def test_a_profile_that_says_nothing_of_resources_is_admitted_too(tmp_path: Path) -> None:
    leg = {"name": "cpu", "runtime": "tf2", "device": "cpu"}
    content = {"name": "mine", "description": "d", "image": "i:1", "dataset": "synthetic", "retries": 10}
    profile = Profile.model_validate({**content, "recorded_reference": "published", "legs": [leg]})
    compile_package(profile, tmp_path / "package.yaml")
    assert refused_package(tmp_path / "package.yaml") == []


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The package of a profile with a GPU and an NPU."""
    file = tmp_path_factory.mktemp("package") / "package.yaml"
    compile_package(load_profile("ascend910-vs-gpu"), file)
    return file.read_text()


def test_the_window_for_tries_holds_all_of_them_and_waiting(package: str) -> None:
    specification, platform = yaml.safe_load_all(package)
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    tried_again = {name: task for name, task in specification["root"]["dag"]["tasks"].items() if "retryPolicy" in task}
    assert "train-npu-seed-0" in tried_again
    for name, task in tried_again.items():
        limit = int(pods[f"exec-{name}"]["activeDeadlineSeconds"])
        assert task["retryPolicy"]["backoffMaxDuration"] == f"{4 * limit + MAX_WAITING_SECONDS}s"


Change = Callable[[Any, Any, Any], None]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda task, container, pod: pod.pop("securityContext"), "runAsNonRoot != true"),
        (lambda task, container, pod: pod["securityContext"].update(runAsUser="0"), "runs as root"),
        (lambda task, container, pod: pod["securityContext"].pop("runAsGroup"), "says no group"),
        (lambda task, container, pod: pod.pop("activeDeadlineSeconds"), "hangs for ever"),
        (lambda task, container, pod: task["retryPolicy"].update(backoffMaxDuration="1800s"), "killed 1800 s after"),
        (lambda task, container, pod: pod.pop("nodeSelector"), "says no kubernetes.io/arch"),
        (lambda task, container, pod: container.pop("resources"), "asks for no memory"),
        (lambda task, container, pod: pod["emptyDirMounts"][0].update(sizeLimit="96Gi"), "may take all of its memory"),
        (
            lambda task, container, pod: container.update(env=[{"name": "AWS_ACCESS_KEY_ID", "value": "mine"}]),
            "AWS_ACCESS_KEY_ID has several values",
        ),
    ],
)
def test_what_a_cluster_refuses_the_rules_refuse(tmp_path: Path, package: str, change: Change, named: str) -> None:
    file, name = tmp_path / "package.yaml", "train-npu-seed-0"
    specification, platform = yaml.safe_load_all(package)
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    container = specification["deploymentSpec"]["executors"][f"exec-{name}"]["container"]
    change(specification["root"]["dag"]["tasks"][name], container, pods[f"exec-{name}"])
    file.write_text(yaml.safe_dump_all([specification, platform]))
    found = refused_package(file)
    assert any(named in complaint for complaint in found)
    assert all(complaint.startswith(f"{name}: ") for complaint in found)


def test_a_plugin_that_injects_variables_makes_pods_that_are_refused(tmp_path: Path, package: str) -> None:
    (tmp_path / "package.yaml").write_text(package)
    found = refused_package(tmp_path / "package.yaml", injected=INJECTED)
    assert "train-npu-seed-0: variable MLFLOW_TRACKING_URI has several values" in " ".join(found)


def test_a_pipeline_that_asks_for_nothing_is_refused_for_all_of_it(tmp_path: Path) -> None:
    @dsl.component(base_image="python:3.11", install_kfp_package=False)  # type: ignore[untyped-decorator]
    def nothing() -> None:
        pass

    @dsl.pipeline(name="nothing")  # type: ignore[untyped-decorator]
    def pipeline() -> None:
        nothing()

    compiler.Compiler().compile(pipeline, str(tmp_path / "package.yaml"))
    assert len(refused_package(tmp_path / "package.yaml")) == 7


def output(metadata: Any) -> str:
    artifact = {"name": "model", "uri": "/tmp/model", "metadata": metadata}
    return json.dumps({"artifacts": {"model": {"artifacts": [artifact]}}})


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"reason": None}, "unknown value type"),
        ({"min_loss": math.nan}, "cannot read it"),
        ({"final_loss": {"A_loss": [1.0, math.inf]}}, "cannot read it"),
        (SUMMARY, "cannot read it"),
        (UNPUBLISHED.to_json(), "page: unknown value type"),
    ],
)
def test_metadata_that_ends_a_task_after_its_work_is_refused_and_made_fit_by_one_function(
    metadata: Any, named: str
) -> None:
    (complaint,) = refused_output(output(metadata))
    assert named in complaint
    assert refused_output(output(artifact_metadata(metadata))) == []


@pytest.mark.parametrize(
    "content", [figures(SUMMARY), UNPUBLISHED.to_json(), Description("d", "s", {"train/A": 3}, "0" * 64)._asdict()]
)
def test_what_components_give_is_a_dozen_figures_that_are_known(content: dict[str, Any]) -> None:
    fit = artifact_metadata(content)
    assert refused_output(output(fit)) == []
    unknown = {
        name for name, value in content.items() if value is None or (isinstance(value, float) and math.isnan(value))
    }
    assert set(content) - set(fit) == unknown
    assert 4 <= len(fit) <= 12


def test_only_the_top_level_loses_what_is_not_known() -> None:
    fit = artifact_metadata({"a": None, "b": math.nan, "c": {"d": None, "e": [1, math.inf]}, "f": (True, "text")})
    assert fit == {"c": {"d": None, "e": [1, None]}, "f": [True, "text"]}


def test_metadata_of_another_kind_is_a_mistake_of_the_component() -> None:
    with pytest.raises(TypeError, match=r"metadata folder\.path: PosixPath is not text, number"):
        artifact_metadata({"folder": {"path": Path("/tmp")}})
