"""What components add to a site: many teams, Volcano, a login of the registry, monitoring; rules for the bucket."""

import itertools
import json
import os
import re
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from components.common.image_list import PushedImage, write_images
from images.__main__ import main as images_command
from pipelines.parity import PIPELINE_NAME
from pipelines.profile import load_profile
from tests.manifests.flows import Pod, admitted
from tests.manifests.rendered import (
    EXAMPLE,
    MANIFESTS,
    OPTIONS,
    ROOT,
    SITES,
    VALUES,
    Object,
    command_line,
    containers,
    environment,
    example_secrets,
    identity,
    named,
    of_kind,
    pod_templates,
    render,
    render_site,
    rendered,
)
from tests.parity.parsing import parse
from tests.services import s3_client, s3_service

COMPONENTS = ("multi-user", "pools/ascend", "pools/gpu", *OPTIONS)

pytestmark = pytest.mark.system("kubectl")


def test_every_component_is_tried_and_goes_with_each_storage_alone() -> None:
    files = [*MANIFESTS.glob("*/kustomization.yaml"), *MANIFESTS.glob("*/*/kustomization.yaml")]
    folders = {str(file.parent.relative_to(MANIFESTS)) for file in files if "kind: Component" in file.read_text()}
    assert folders == {*COMPONENTS}
    assert {component for _, components in SITES.values() for component in components} >= folders - {"pools/gpu"}
    for overlay, component in itertools.product(("local-storage", "s3"), COMPONENTS):
        assert render_site(overlay, (component,)) != rendered(overlay)


def test_a_teams_namespace_is_said_once_and_reaches_everything() -> None:
    objects = rendered("a-team")
    named_kfp = [identity(found) for found in objects if re.search(r"\bkubeflow\b(?![./])", yaml.safe_dump(found))]
    # KFP's address, its API server's account, MLflow's callers, and the way of the job and of tasks to KFP.
    assert named_kfp == [
        "RoleBinding/team-a/dualgan-parity-mlflow-credentials",
        "CronJob/team-a/dualgan-parity-retrain",
        "NetworkPolicy/dualgan-parity/mlflow-from-runs",
        "NetworkPolicy/team-a/dualgan-parity-retrain",
        "NetworkPolicy/team-a/dualgan-parity-tasks-to",
    ]
    # The profile controller's.
    assert not [found for found in objects if found["metadata"]["name"] == "kfp-launcher"]
    # Below what the keys of a profile may write.
    data = named(objects, "ConfigMap", "dualgan-parity")["data"]
    assert data["DATASET"] == "s3://dualgan-parity.example/private/team-a/dataset"
    policy = named(objects, "NetworkPolicy", "mlflow-from-team-a")
    assert policy["metadata"]["namespace"] == "dualgan-parity"
    job = named(objects, "CronJob", "dualgan-parity-retrain")["spec"]["jobTemplate"]["spec"]["template"]
    secrets = {place: dict.fromkeys(keys, "") for place, keys in example_secrets("team-a").items()}
    (container,) = job["spec"]["containers"]
    variables = environment(objects, {"metadata": {"namespace": "team-a"}}, container, secrets)
    _, options = parse(command_line(container, variables))
    assert (options["namespace"] or variables["KFP_NAMESPACE"], options["model"]) == ("team-a", "dualgan-team-a")
    assert options["parameter"] == ["experiment=team-a"]
    assert job["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"


def test_two_teams_differ_in_nothing_that_is_mlflows(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the second team's site can be applied over the first's."""
    first = rendered("a-team")
    monkeypatch.setitem(VALUES, "namespace", "team-b")
    second = render_site(*SITES["a-team"])
    ours = [{identity(one): one for one in objects if "team-" not in identity(one)} for objects in (first, second)]
    assert ours[0] == ours[1]


PUSHED = {name: f"registry.example/dualgan-parity/{name}@sha256:{'0a' * 32}" for name in ("cpu", "mlflow")}


def _write_images_component(site: Path) -> None:
    listed = [
        PushedImage(name=name, reference=reference, architectures=("amd64",), revision="aaaa")
        for name, reference in PUSHED.items()
    ]
    write_images(site / "pushed.json", listed)
    assert images_command(["component", str(site / "pushed.json"), str(site / "images")]) == 0


def _own_images(objects: tuple[Object, ...]) -> set[str]:
    images = {container["image"] for _, template in pod_templates(objects) for container in containers(template)}
    return {image for image in images if "dualgan-parity" in image}


def test_a_site_runs_the_images_that_were_pushed_and_its_retrain_job_compares_with_them(tmp_path: Path) -> None:
    _write_images_component(tmp_path)
    component = os.path.relpath(tmp_path / "images", MANIFESTS)
    objects = render_site("ascend910-vs-gpu", ("options/backup", component, "multi-user"))
    assert _own_images(objects) == set(PUSHED.values())
    job = named(objects, "CronJob", "dualgan-parity-retrain")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = job["containers"]
    secrets = {place: dict.fromkeys(keys, "") for place, keys in example_secrets("team-a").items()}
    variables = environment(objects, {"metadata": {"namespace": "team-a"}}, container, secrets)
    file = parse(command_line(container, variables)).parameters["images"]
    (mounted,) = [mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == str(file.parent)]
    (volume,) = [volume["configMap"]["name"] for volume in job["volumes"] if volume["name"] == mounted]
    content = named(objects, "ConfigMap", volume)
    assert content["metadata"]["namespace"] == "team-a"
    assert content["data"] == {file.name: (tmp_path / "pushed.json").read_text()}


def test_pods_that_ask_for_an_npu_go_to_volcano() -> None:
    objects = rendered("every-option")
    policy = named(objects, "MutatingAdmissionPolicy", "dualgan-parity-volcano")["spec"]
    (mutation,), (condition,) = policy["mutations"], policy["matchConditions"]
    assert mutation["applyConfiguration"]["expression"] == 'Object{spec: Object.spec{schedulerName: "volcano"}}'
    npu = {leg.resources.accelerator for leg in load_profile("ascend910").legs} - {None}
    assert npu and all(str(name).startswith("huawei.com/") for name in npu)
    assert "r.startsWith('huawei.com/')" in condition["expression"]
    binding = named(objects, "MutatingAdmissionPolicyBinding", "dualgan-parity-volcano")["spec"]
    assert binding["policyName"] == "dualgan-parity-volcano"
    assert binding["matchResources"]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "kubeflow"}


@pytest.mark.parametrize("overlay", SITES)
def test_a_site_says_its_names_and_nothing_of_a_component_is_left_open(overlay: str) -> None:
    objects = rendered(overlay)
    left = [identity(one) for one in objects if re.search(r"\b(TEAM|HOST|ISSUER|INGRESS)\b", yaml.safe_dump(one))]
    assert left == []
    wanted = [{"name": "dualgan-parity-registry"}]
    assert all(template["spec"]["imagePullSecrets"] == wanted for _, template in pod_templates(objects))
    assert all(account["imagePullSecrets"] == wanted for account in of_kind(objects, "ServiceAccount"))
    ingress = named(objects, "Ingress", "mlflow")
    assert ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == VALUES["issuer"]
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == ingress["spec"]["tls"][0]["hosts"] == [VALUES["host"]]
    controller = Pod(VALUES["ingressNamespace"], ())
    solver = Pod("dualgan-parity", (("acme.cert-manager.io/http01-solver", "true"),))
    mlflow = Pod("dualgan-parity", (("app.kubernetes.io/name", "mlflow"),), (("http", 5000),))
    assert admitted(objects, controller, solver, 8089) and admitted(objects, controller, mlflow, 5000)
    assert not admitted(objects, Pod("default", ()), solver, 8089)


def test_the_example_of_a_site_runs_pushed_images_and_gives_the_retrain_job_a_profile_of_its_own(
    tmp_path: Path,
) -> None:
    _write_images_component(tmp_path)
    profile = (ROOT / "pipelines/profiles/ascend910.yaml").read_text().replace("s3://mlpipeline/", "s3://ours/")
    (tmp_path / "ascend910-ours.yaml").write_text(profile)
    (tmp_path / "values.yaml").write_text((MANIFESTS / EXAMPLE / "values.yaml").read_text())
    text = (MANIFESTS / EXAMPLE / "kustomization.yaml").read_text()
    # As somebody would who needs it: # before a line of YAML goes, # before prose stays.
    text = re.sub(r"^( *)#(?! \S)", r"\1", text, flags=re.MULTILINE)
    text = text.replace("../", f"{os.path.relpath(MANIFESTS, tmp_path.resolve())}/")
    (tmp_path / "kustomization.yaml").write_text(text)
    objects = render(tmp_path)
    # Of every component, the jobs of the backup among them.
    assert _own_images(objects) == set(PUSHED.values())
    job = named(objects, "CronJob", "dualgan-parity-retrain")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    secrets = {place: dict.fromkeys(keys, "") for place, keys in example_secrets().items()}
    (container,) = pod["containers"]
    _, options = parse(command_line(container, environment(objects, job, container, secrets)))
    folder, _, file = options["profile"].rpartition("/")
    (volume,) = [mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == folder]
    (source,) = [one["configMap"]["name"] for one in pod["volumes"] if one["name"] == volume]
    found = named(objects, "ConfigMap", source)
    assert found["metadata"]["namespace"] == job["metadata"]["namespace"]
    (tmp_path / "mounted.yaml").write_text(found["data"][file])
    assert load_profile(str(tmp_path / "mounted.yaml")).checkpoints.startswith("s3://ours/")


def test_alerts_name_what_is_there() -> None:
    objects = rendered("every-option")
    text = yaml.safe_dump(named(objects, "PrometheusRule", "dualgan-parity")["spec"])
    jobs = {one["metadata"]["name"] for one in of_kind(objects, "CronJob")}
    assert set(re.findall(r'cronjob="([\w-]+)"', text)) <= jobs and "dualgan-parity-retrain-.*" in text
    assert set(re.findall(r'deployment="([\w-]+)"', text)) == {"mlflow"}
    monitor = named(objects, "ServiceMonitor", "mlflow")["spec"]
    (service,) = [
        one
        for one in of_kind(objects, "Service")
        if monitor["selector"]["matchLabels"].items() <= one["metadata"]["labels"].items()
    ]
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    (target,) = endpoint["relabelings"]
    hosts = named(objects, "ConfigMap", "mlflow")["data"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert any(fnmatch(target["replacement"], host) for host in hosts)


def test_a_bucket_takes_the_rules_and_they_expire_nothing_that_is_kept() -> None:
    rules = json.loads((MANIFESTS / "bucket-lifecycle.json").read_text())
    with s3_service("bucket") as address:
        client = s3_client(address)
        client.put_bucket_lifecycle_configuration(Bucket="bucket", LifecycleConfiguration=rules)
        assert client.get_bucket_lifecycle_configuration(Bucket="bucket")["Rules"] == rules["Rules"]
    expiring = tuple(rule["Filter"]["Prefix"] for rule in rules["Rules"] if "Expiration" in rule)
    (replaced,) = [rule["Filter"]["Prefix"] for rule in rules["Rules"] if "NoncurrentVersionExpiration" in rule]
    kept, passing = [], [load_profile("ascend910-vs-gpu").checkpoints]
    for overlay in ("local-storage", "s3"):
        maps = {name: named(rendered(overlay), "ConfigMap", name)["data"] for name in ("mlflow", "dualgan-parity")}
        kept += [maps["mlflow"][name] for name in ("MLFLOW_ARTIFACTS_DESTINATION", "BACKUP_DESTINATION")]
        kept.append(maps["dualgan-parity"]["DATASET"])
        assert _key(maps["mlflow"]["MLFLOW_ARTIFACTS_DESTINATION"]).startswith(replaced)
        root = named(rendered(overlay), "ConfigMap", "kfp-launcher")["data"]["defaultPipelineRoot"]
        passing.append(f"{root}/{PIPELINE_NAME}-gpu/run-id/train-gpu-seed-0/records")
        # Others may use this KFP.
        kept.append(f"{root}/another-teams/run-id/train")
    assert not [place for place in kept if _key(place).startswith(expiring)]
    assert [place for place in passing if _key(place or "").startswith(expiring)] == passing


def _key(address: str) -> str:
    return urlsplit(address).path.lstrip("/") + "/"
