"""The package for a cluster."""

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import components

from pipelines.package import RUN_ID, compile_package, package_of, read_package
from pipelines.profile import load_profile
from pipelines.profiles import known_profiles
from pipelines.scheduling import MAX_WAITING_SECONDS
from tests.pipelines.backend_rules import refused_package


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packages")


@functools.cache
def compiled(profile: str, folder: Path) -> list[Any]:
    """The documents of a profile's package, which KFP has loaded as well; compiled once for all tests."""
    path = folder / f"{profile}.yaml"
    compile_package(load_profile(profile), path)
    components.load_component_from_file(str(path))
    return list(yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("name", known_profiles())
def test_the_graph_shows_every_leg_by_name_and_a_real_kubeflow_admits_it(folder: Path, name: str) -> None:
    profile = load_profile(name)
    (specification, *_) = compiled(name, folder)
    tasks = specification["root"]["dag"]["tasks"]
    runs = [f"{leg.name}-seed-{seed}" for leg in profile.legs for seed in profile.seeds]
    candidates = [leg.name for leg in profile.candidates]
    own_images = [leg.name for leg in profile.legs if leg.image and leg.image != profile.image]
    checks = {"preflight"} | {f"preflight-{leg}" for leg in own_images}
    expected = checks | {"dataset"} | {f"{step}-{run}" for step in ("train", "sample") for run in runs}
    expected |= {f"compare-{leg}-with-{profile.reference or 'record'}" for leg in candidates}
    if profile.reference:
        expected |= {f"trace-{profile.reference}"} | {f"replay-{leg}" for leg in candidates}
    assert set(tasks) == expected | {f"publish-{leg}" for leg in candidates}
    assert all(task["taskInfo"]["name"] == key for key, task in tasks.items())
    assert set(tasks["dataset"]["dependentTasks"]) == checks
    for run in runs:
        assert tasks[f"sample-{run}"]["dependentTasks"] == ["dataset", f"train-{run}"]
    assert refused_package(folder / f"{name}.yaml") == []


def test_what_a_run_needs_is_looked_for_in_each_image_before_anything_takes_an_accelerator(folder: Path) -> None:
    specification, platform = compiled("ascend910-vs-gpu", folder)
    executors = specification["deploymentSpec"]["executors"]
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for leg in ("npu", "gpu"):
        check, train = (executors[f"exec-{task}"]["container"] for task in (f"preflight-{leg}", f"train-{leg}-seed-0"))
        assert check["image"] == train["image"] and "accelerator" not in check.get("resources", {})
        assert pods[f"exec-preflight-{leg}"]["tolerations"] == pods[f"exec-train-{leg}-seed-0"]["tolerations"]
    given = specification["root"]["dag"]["tasks"]["preflight"]["inputs"]["parameters"]
    assert given["checkpoints"]["runtimeValue"]["constant"] == load_profile("ascend910-vs-gpu").checkpoints
    assert given["dataset"] == {"componentInputParameter": "dataset"}


def test_a_candidate_is_published_on_a_node_for_its_image_without_taking_an_accelerator(folder: Path) -> None:
    specification, platform = compiled("ascend910-vs-gpu", folder)
    executors = specification["deploymentSpec"]["executors"]
    publish, train = (executors[f"exec-{task}"]["container"] for task in ("publish-npu", "train-npu-seed-0"))
    assert publish["image"] == train["image"]
    assert "accelerator" not in publish.get("resources", {})
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for what in ("nodeSelector", "tolerations", "securityContext"):
        assert pods["exec-publish-npu"][what] == pods["exec-train-npu-seed-0"][what]
    # It sends what MLflow lacks of every leg and seed.
    trained = {f"train-{leg}-seed-{seed}" for leg in ("npu", "gpu") for seed in load_profile("ascend910-vs-gpu").seeds}
    assert set(specification["root"]["dag"]["tasks"]["publish-npu"]["dependentTasks"]) == {
        "compare-npu-with-gpu",
        *trained,
    }


def test_a_training_on_an_ascend_asks_kubernetes_for_all_that_it_needs(folder: Path) -> None:
    specification, platform = compiled("ascend910-vs-gpu", folder)
    pod = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train-npu-seed-0"]
    assert pod["nodeSelector"]["labels"] == {"kubernetes.io/arch": "arm64"}
    assert pod["tolerations"] == [{"effect": "NoSchedule", "key": "huawei.com/Ascend910", "operator": "Exists"}]
    (memory,) = pod["emptyDirMounts"]
    assert (memory["mountPath"], memory["medium"], memory["sizeLimit"]) == ("/dev/shm", "Memory", "16Gi")
    user = pod["securityContext"]
    assert (int(user["runAsUser"]), int(user["runAsGroup"]), user["runAsNonRoot"]) == (1000, 1000, True)
    assert pod["podMetadata"]["labels"] == {"app.kubernetes.io/part-of": "dualgan-parity"}
    npu, gpu = (
        specification["deploymentSpec"]["executors"][f"exec-train-{leg}-seed-0"]["container"] for leg in ("npu", "gpu")
    )
    resources = npu["resources"]
    assert (resources["resourceCpuLimit"], resources["resourceMemoryLimit"]) == ("24", "96Gi")
    accelerator = resources["accelerator"]
    assert (accelerator["resourceType"], accelerator["resourceCount"]) == ("huawei.com/Ascend910", "1")
    assert gpu["image"] != npu["image"] and gpu["resources"]["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert "pip install" not in " ".join(npu["command"])
    task = specification["root"]["dag"]["tasks"]["train-npu-seed-0"]
    # All tries fit into the window, and each may wait for a card.
    limit = int(pod["activeDeadlineSeconds"])
    assert limit == 172800
    assert task["retryPolicy"]["backoffMaxDuration"] == f"{4 * limit + MAX_WAITING_SECONDS}s"
    parameters = {name: value["runtimeValue"]["constant"] for name, value in task["inputs"]["parameters"].items()
                  if "runtimeValue" in value}  # fmt: skip
    assert parameters["checkpoints"].startswith("s3://") and parameters["retries"] == 3


def test_pods_have_the_labels_annotations_and_nodes_that_the_example_of_the_reference_asks_for(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text()
    (example,) = re.findall("```yaml\n(.*?)```", text, flags=re.DOTALL)
    file, package = tmp_path / "mine.yaml", tmp_path / "package.yaml"
    file.write_text(example + "        - {key: spot, operator: DoesNotExist}\n      annotations: {only: gpus}\n")
    compile_package(load_profile(str(file)), package)
    assert refused_package(package) == []
    specification, platform = yaml.safe_load_all(package.read_text())
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name, pod in pods.items():
        resources = specification["deploymentSpec"]["executors"][name]["container"]["resources"]
        queue, own = ("gpus", {"only": "gpus"}) if "accelerator" in resources else ("cpus", {})
        ours = {"app.kubernetes.io/part-of": "dualgan-parity", "kueue.x-k8s.io/queue-name": queue}
        assert pod["podMetadata"] == {"labels": ours, "annotations": {**yaml.safe_load(example)["annotations"], **own}}
        assert [one["secretName"] for one in pod["imagePullSecret"]] == ["registry"], name
    # All that must hold is in one term: KFP makes alternatives of several.
    required, preferred = pods["exec-train-gpu-seed-0"]["nodeAffinity"]
    product, spot = required["matchExpressions"]
    assert (product["key"], product["operator"], len(product["values"])) == ("nvidia.com/gpu.product", "In", 2)
    assert spot == {"key": "spot", "operator": "DoesNotExist"} and "weight" not in required
    assert preferred["weight"] == 10 and preferred["matchExpressions"][0]["values"] == ["r7"]
    # What is made from a leg's image runs where it trains; the rest, on the profile's own nodes.
    assert pods["exec-publish-gpu"]["nodeAffinity"] == pods["exec-train-gpu-seed-0"]["nodeAffinity"]
    dataset = pods["exec-dataset"]
    assert "nodeAffinity" not in dataset and dataset["tolerations"] == [{"key": "spot", "operator": "Exists"}]
    assert dataset["nodeSelector"]["labels"] == {"kubernetes.io/arch": "amd64", "pool": "cpus"}
    container = specification["deploymentSpec"]["executors"]["exec-dataset"]["container"]
    assert container["resources"]["resourceCpuLimit"] == "4"


def test_the_fetch_has_the_limit_of_pixels_that_the_profile_and_the_run_set() -> None:
    profile = load_profile("ascend910-vs-gpu")
    for given, limit in ((profile.options, 0), ({**profile.options, "max_pixels": 200_000_000}, 200_000_000)):
        specification = package_of(profile.model_copy(update={"options": given})).specification
        inputs = specification["root"]["dag"]["tasks"]["dataset"]["inputs"]["parameters"]
        assert inputs["max_pixels"] == {"runtimeValue": {"constant": limit}}
        assert inputs["options"] == {"componentInputParameter": "options"}


def test_what_kfps_cache_may_give_names_its_run_and_all_tasks_can_be_tried_again(folder: Path) -> None:
    specification, _ = compiled("ascend910-vs-gpu", folder)
    for name, task in specification["root"]["dag"]["tasks"].items():
        if task["cachingOptions"].get("enableCache"):
            assert task["inputs"]["parameters"]["pipeline_run_id"]["runtimeValue"]["constant"] == RUN_ID
        # Somebody waits for what the first tasks say.
        retries = task.get("retryPolicy", {}).get("maxRetryCount", 0)
        assert retries == (0 if name.startswith("preflight") else 3)


S3_KEYS, MLFLOW_KEYS = {"dualgan-parity-s3"}, {"kfp-mlflow-credentials"}


@pytest.mark.parametrize(
    ("dataset", "checkpoints", "expected"),
    [
        ("", "s3://bucket/kept", {"dataset": S3_KEYS, "train": S3_KEYS | MLFLOW_KEYS, "sample": S3_KEYS}),
        ("s3://team/faces", "", {"dataset": S3_KEYS, "train": MLFLOW_KEYS, "sample": set()}),
        ("https://example.org/faces.zip", "", {"dataset": set(), "train": MLFLOW_KEYS, "sample": set()}),
    ],
)
def test_each_task_gets_the_keys_of_the_servers_that_it_speaks_with_and_no_others(
    dataset: str, checkpoints: str, expected: dict[str, set[str]]
) -> None:
    changes = {"dataset": dataset, "checkpoints": checkpoints}
    package = package_of(load_profile("ascend910-vs-gpu").model_copy(update=changes))
    pods = package.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    same = {"preflight": S3_KEYS | MLFLOW_KEYS, "trace": set(), "replay": set(), "publish": MLFLOW_KEYS}
    wanted = {**same, **expected, "preflight-npu": set(), "preflight-gpu": set(), "compare": MLFLOW_KEYS}
    assert len(pods) == 20
    for name, pod in pods.items():
        task = name.removeprefix("exec-")
        kind = task if task in wanted else task.split("-")[0]
        assert {secret["secretName"] for secret in pod.get("secretAsEnv", [])} == wanted[kind], task
        variables = {pair["envVar"] for one in pod.get("configMapAsEnv", []) for pair in one["keyToEnv"]}
        assert ("MLFLOW_TRACKING_URI" in variables) == (wanted[kind] >= MLFLOW_KEYS), task
        assert ("AWS_ENDPOINT_URL" in variables) == (wanted[kind] >= S3_KEYS), task


def test_a_profile_may_say_which_tasks_get_a_secret() -> None:
    profile = load_profile("gpu")
    stated = profile.secrets[0].model_copy(update={"tasks": ("compare", "publish")})
    package = package_of(profile.model_copy(update={"secrets": (stated,)}))
    pods = package.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    given = {name for name, pod in pods.items() if pod.get("secretAsEnv")}
    assert given == {"exec-compare-gpu-with-record", "exec-publish-gpu"}


def test_a_package_is_the_same_byte_for_byte_and_is_what_is_submitted(tmp_path: Path) -> None:
    files = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    for file in files:
        compile_package(load_profile("ascend910"), file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert read_package(files[0]) == package_of(load_profile("ascend910"))


def read_by(specification: Any, task: str) -> set[tuple[str, str]]:
    """The artifacts that a task reads, as (step that made it, output)."""
    artifacts = specification["root"]["dag"]["tasks"][task].get("inputs", {}).get("artifacts", {})
    made = [artifact["taskOutputArtifact"] for artifact in artifacts.values()]
    return {(one["producerTask"].split("-")[0], one["outputArtifactKey"]) for one in made}


def test_each_task_takes_of_a_training_what_it_reads(folder: Path) -> None:
    specification, _ = compiled("ascend910-vs-gpu", folder)
    model, records, dataset = ("train", "model"), ("train", "records"), ("dataset", "dataset")
    for leg in ("npu", "gpu"):
        assert read_by(specification, f"sample-{leg}-seed-1") == {dataset, model}
    assert read_by(specification, "trace-gpu") == {dataset, model}
    assert read_by(specification, "replay-npu") == {("trace", "trace"), model}
    assert read_by(specification, "compare-npu-with-gpu") == {records, ("sample", "samples"), ("replay", "replay")}
    assert {records, model, ("compare", "comparison")} <= read_by(specification, "publish-npu")
