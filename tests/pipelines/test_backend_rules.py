"""A real Kubeflow takes every package and every output of ours."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl, kubernetes

from components.common.metadata import artifact_metadata
from components.publish.publish import Published
from components.train.train import figures
from dualgan.dataset_folder import Description
from pipelines.package import compile_package
from pipelines.profile import Profile
from tests.pipelines.backend_rules import refused_output, refused_package

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


def test_a_profile_that_says_nothing_of_resources_is_admitted_too(tmp_path: Path) -> None:
    leg = {"name": "cpu", "runtime": "tf2", "device": "cpu"}
    content = {"name": "mine", "description": "d", "image": "i:1", "dataset": "synthetic", "retries": 10}
    profile = Profile.model_validate({**content, "recorded_reference": "published", "legs": [leg]})
    compile_package(profile, tmp_path / "package.yaml")
    assert refused_package(tmp_path / "package.yaml") == []


def test_a_pipeline_that_asks_for_nothing_is_refused_for_all_of_it(tmp_path: Path) -> None:
    @dsl.component(base_image="python:3.11", install_kfp_package=False)  # type: ignore[untyped-decorator]
    def nothing() -> None:
        pass

    @dsl.pipeline(name="nothing")  # type: ignore[untyped-decorator]
    def pipeline() -> None:
        nothing()

    compiler.Compiler().compile(pipeline, str(tmp_path / "package.yaml"))
    assert len(refused_package(tmp_path / "package.yaml")) == 8


def test_node_affinity_in_parts_and_names_that_argo_keeps_its_pods_by_are_refused(tmp_path: Path) -> None:
    @dsl.component(base_image="python:3.11", install_kfp_package=False)  # type: ignore[untyped-decorator]
    def nothing() -> None:
        pass

    @dsl.pipeline(name="nothing")  # type: ignore[untyped-decorator]
    def pipeline() -> None:
        task = nothing()
        for value in ("a", "b"):
            kubernetes.add_node_affinity(task, [{"key": value, "operator": "In", "values": [value]}])
        kubernetes.add_pod_label(task, "workflows.argoproj.io/workflow", "mine")
        kubernetes.add_pod_annotation(task, "note", "{{workflow.name}}")

    compiler.Compiler().compile(pipeline, str(tmp_path / "package.yaml"))
    found = " ".join(refused_package(tmp_path / "package.yaml"))
    assert "makes alternatives" in found and "lose its pod" in found and "a variable of Argo's" in found


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
