"""Every object of every overlay: valid, hardened, and referring only to what is there."""

import json
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from images.build import image_tag
from pipelines.profile import load_profile
from tests.manifests.flows import Pod, admitted
from tests.manifests.rendered import (
    MANIFESTS,
    OVERLAYS,
    Object,
    containers,
    environment,
    example_secrets,
    identity,
    named,
    of_kind,
    pod_templates,
    rendered,
)
from tests.parity.parsing import parse

# The oldest release of Kubernetes that had the fields that the manifests use, and the newest that schemas ship for.
KUBERNETES_VERSIONS = ("1.27", kubernetes_validate.latest_version())
OURS, RUNS = "dualgan-parity", "kubeflow"
# Of KFP's own: what its Secret and its Services are called is in its manifests.
KFP_SECRETS = {(RUNS, "mlpipeline-minio-artifact"): {"accesskey", "secretkey"}}
SEAWEEDFS = Pod(RUNS, (("app", "seaweedfs"),))
KFP_API_SERVER = Pod(RUNS, (("app", "ml-pipeline"),))
KFP_SERVICES = {("seaweedfs", 9000): (SEAWEEDFS, 8333), ("ml-pipeline", 8888): (KFP_API_SERVER, 8888)}
DNS = Pod("kube-system", (("k8s-app", "kube-dns"),))

pytestmark = pytest.mark.system("kubectl")
every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def test_the_overlays_are_those_that_the_documentation_names() -> None:
    assert OVERLAYS == ["ascend", "ascend910-vs-gpu", "gpu", "local-storage", "s3"]


@every_overlay
@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_kubernetes_knows_every_object_and_every_field(overlay: str, version: str) -> None:
    for found in rendered(overlay):
        try:
            kubernetes_validate.validate(found, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"{identity(found)}: {error.message}")


@pytest.mark.parametrize("name", ["secrets.example.yaml"])
def test_the_example_is_valid_and_holds_no_secret(name: str) -> None:
    for secret in yaml.safe_load_all((MANIFESTS / name).read_text()):
        kubernetes_validate.validate(secret, KUBERNETES_VERSIONS[1], strict=True)
        assert set(secret["stringData"].values()) == {""}


@every_overlay
def test_no_object_appears_twice_and_all_say_whose_they_are(overlay: str) -> None:
    objects = rendered(overlay)
    names = [identity(found) for found in objects]
    assert len(set(names)) == len(names)
    for found in objects:
        assert found["metadata"]["labels"]["app.kubernetes.io/part-of"] == "dualgan-parity", identity(found)
        if found["kind"] not in {"Namespace", "PriorityClass"}:
            assert found["metadata"]["namespace"] in {OURS, RUNS}, identity(found)
    # KFP's namespace is KFP's: what is put there is told by its name, but for the map that KFP looks for.
    guests = [found["metadata"]["name"] for found in objects if found["metadata"].get("namespace") == RUNS]
    assert {name for name in guests if not name.startswith("dualgan-parity")} <= {
        "kfp-launcher",
        "seaweedfs-from-mlflow",
    }


@every_overlay
def test_pods_are_restricted(overlay: str) -> None:
    """As Kubernetes' Pod Security Standard "restricted" asks, and with a root file system that is not written."""
    for owner, template in pod_templates(rendered(overlay)):
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False, identity(owner)
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        allowed = {"emptyDir", "configMap", "secret", "projected"}
        assert all(set(volume) - {"name"} <= allowed for volume in pod.get("volumes", []))
        for container in containers(template):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}


@every_overlay
def test_containers_have_bounds_and_a_fixed_image(overlay: str) -> None:
    for owner, template in pod_templates(rendered(overlay)):
        for container in containers(template):
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]) & set(resources["limits"]), identity(owner)
            _, tag = container["image"].rsplit(":", 1)
            assert tag and tag != "latest"
        limited = [volume["emptyDir"] for volume in template["spec"].get("volumes", []) if "emptyDir" in volume]
        assert all("sizeLimit" in volume for volume in limited)


@every_overlay
def test_our_images_are_those_that_make_images_builds(overlay: str) -> None:
    names = {
        container["image"] for _, template in pod_templates(rendered(overlay)) for container in containers(template)
    }
    assert names - {"postgres:17.6-bookworm"} == {image_tag("mlflow"), image_tag("cpu")}


@every_overlay
def test_services_are_probed(overlay: str) -> None:
    for owner, template in pod_templates(rendered(overlay)):
        if owner["kind"] == "CronJob":
            continue
        for container in containers(template):
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert {"httpGet", "exec"} & set(container[probe]), f"{identity(owner)} {probe}"


@every_overlay
def test_everything_that_is_referred_to_is_there(overlay: str) -> None:
    objects = rendered(overlay)
    secrets = {**example_secrets(), **KFP_SECRETS}
    accounts = {(a["metadata"]["namespace"], a["metadata"]["name"]) for a in of_kind(objects, "ServiceAccount")}
    priorities = {found["metadata"]["name"] for found in of_kind(objects, "PriorityClass")}
    maps = {(m["metadata"]["namespace"], m["metadata"]["name"]): set(m["data"]) for m in of_kind(objects, "ConfigMap")}
    for owner, template in pod_templates(objects):
        namespace, pod = owner["metadata"]["namespace"], template["spec"]
        assert (namespace, pod["serviceAccountName"]) in accounts
        assert pod.get("priorityClassName") in {None, *priorities}
        for volume in pod.get("volumes", []):
            if "configMap" in volume:
                assert (namespace, volume["configMap"]["name"]) in maps
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in owner["spec"].get("volumeClaimTemplates", [])}
        for container in containers(template):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            for source in container.get("envFrom", []):
                assert (namespace, source["configMapRef"]["name"]) in maps
            for entry in container.get("env", []):
                reference = entry.get("valueFrom", {}).get("secretKeyRef")
                if reference:
                    assert reference["key"] in secrets[namespace, reference["name"]]
    for binding in of_kind(objects, "RoleBinding"):
        namespace = binding["metadata"]["namespace"]
        assert named(objects, "Role", binding["roleRef"]["name"])["metadata"]["namespace"] == namespace
        for subject in binding["subjects"]:
            assert (subject["namespace"], subject["name"]) in {*accounts, (RUNS, "ml-pipeline")}


@every_overlay
def test_no_secret_of_the_example_is_unused(overlay: str) -> None:
    objects = rendered(overlay)
    text = yaml.safe_dump_all(objects)
    unused = {name for _, name in example_secrets() if name not in text}
    assert unused == set()


@every_overlay
def test_selectors_find_their_pods(overlay: str) -> None:
    objects = rendered(overlay)
    templates = [(owner, template) for owner, template in pod_templates(objects)]
    for owner, template in templates:
        if owner["kind"] != "CronJob":
            assert owner["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    for service in of_kind(objects, "Service"):
        selector = service["spec"]["selector"].items()
        (target,) = [
            template
            for owner, template in templates
            if owner["metadata"]["namespace"] == service["metadata"]["namespace"]
            and selector <= template["metadata"]["labels"].items()
        ]
        ports = {port["name"]: port["containerPort"] for c in containers(target) for port in c["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]


@every_overlay
def test_policies_admit_the_flows_that_variables_name_and_no_others(overlay: str) -> None:
    objects = rendered(overlay)
    pods = {owner["metadata"]["name"]: _pod(owner, template) for owner, template in pod_templates(objects)}
    mlflow, retrain = pods["mlflow"], pods["dualgan-parity-retrain"]
    task = Pod(RUNS, (("app.kubernetes.io/part-of", "dualgan-parity"), ("pipelines.kubeflow.org/v2_component", "true")))
    places = _places(objects, pods)
    wanted = [
        *((mlflow, *places(url)) for url in _addresses(objects, "mlflow")),
        *((retrain, *places(url)) for url in _addresses(objects, "dualgan-parity-retrain")),
        *((pod, mlflow, 5000) for pod in (task, KFP_API_SERVER)),
        *((pod, DNS, 53) for pod in (mlflow, retrain, task)),
        *((task, target, port) for target, port in ((SEAWEEDFS, 8333), (KFP_API_SERVER, 8887), (None, 443))),
    ]
    assert len(wanted) == 13
    for source, target, port in wanted:
        assert admitted(objects, source, target, port), f"{source} to {target}, port {port}"

    stranger = Pod("default", ())
    for source, target, port in [
        (stranger, mlflow, 5000),
        (stranger, task, 8080),
        (task, task, 2222),
        (task, None, 25),
        (task, Pod("default", ()), 8080),
        (mlflow, KFP_API_SERVER, 8888),
        (mlflow, None, 80),
        (retrain, None, 80),
    ]:
        assert not admitted(objects, source, target, port), f"{source} to {target}, port {port}"


def test_nobody_but_mlflow_reaches_its_database() -> None:
    objects = rendered("local-storage")
    pods = {owner["metadata"]["name"]: _pod(owner, template) for owner, template in pod_templates(objects)}
    assert admitted(objects, pods["mlflow"], pods["postgresql"], 5432)
    for source in (pods["dualgan-parity-retrain"], KFP_API_SERVER, Pod(OURS, ())):
        assert not admitted(objects, source, pods["postgresql"], 5432)
    assert not admitted(objects, pods["postgresql"], None, 443)


def _pod(owner: Object, template: Object) -> Pod:
    ports = [(port["name"], port["containerPort"]) for c in containers(template) for port in c.get("ports", [])]
    return Pod(owner["metadata"]["namespace"], tuple(template["metadata"]["labels"].items()), tuple(ports))


def _addresses(objects: tuple[Object, ...], name: str) -> list[str]:
    """Every address among the variables of the pods that are called ``name``."""
    owner, template = next(pair for pair in pod_templates(objects) if pair[0]["metadata"]["name"] == name)
    secrets = {place: dict.fromkeys(keys, "secret") for place, keys in example_secrets().items()}
    variables = environment(objects, owner, containers(template)[0], secrets)
    if "PGHOST" in variables:
        variables["database"] = f"postgresql://{variables['PGHOST']}:{variables['PGPORT']}"
    # A scheme and a host: not postgresql+psycopg2:// alone, nor a bucket.
    return [value for value in variables.values() if urlsplit(value).hostname and urlsplit(value).scheme != "s3"]


def _places(objects: tuple[Object, ...], pods: dict[str, Pod]) -> Any:
    def place(address: str) -> tuple[Pod | None, int]:
        parts = urlsplit(address)
        host = parts.hostname or ""
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        service = host.partition(".")[0]
        if host.endswith(".example"):
            return None, port
        return KFP_SERVICES[service, port] if (service, port) in KFP_SERVICES else (pods[service], port)

    return place


@every_overlay
def test_mlflow_lets_in_every_name_that_its_service_has(overlay: str) -> None:
    objects = rendered(overlay)
    service = named(objects, "Service", "mlflow")
    host, port = service["metadata"]["name"], service["spec"]["ports"][0]["port"]
    hosts = named(objects, "ConfigMap", "mlflow")["data"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    for suffix in ("", f".{OURS}", f".{OURS}.svc", f".{OURS}.svc.cluster.local"):
        assert {f"{host}{suffix}", f"{host}{suffix}:*"} <= set(hosts)
    uri = named(objects, "ConfigMap", "dualgan-parity")["data"]["MLFLOW_TRACKING_URI"]
    assert uri == f"http://{host}.{OURS}:{port}"
    plugin = json.loads((MANIFESTS / "kfp" / "mlflow-plugin.json").read_text())["plugins"]["mlflow"]
    assert plugin["endpoint"] == uri


@every_overlay
def test_kfps_launcher_and_plugin_find_their_credentials(overlay: str) -> None:
    data = named(rendered(overlay), "ConfigMap", "kfp-launcher")["data"]
    secrets = {**example_secrets(), **KFP_SECRETS}
    scheme = urlsplit(data["defaultPipelineRoot"]).scheme
    provider = yaml.safe_load(data["providers"])[scheme]["default"]
    reference = provider["credentials"]["secretRef"]
    assert {reference["accessKeyKey"], reference["secretKeyKey"]} <= secrets[RUNS, reference["secretName"]]
    settings = json.loads(data["plugins.mlflow"])["settings"]
    served = json.loads((MANIFESTS / "kfp" / "mlflow-plugin.json").read_text())["plugins"]["mlflow"]["settings"]
    for keys in (settings["credentialSecretRef"], served["credentialSecretRef"]):
        assert set(keys.values()) == secrets[RUNS, "kfp-mlflow-credentials"]
    # Tasks have the same variables by reference, and Kubernetes refuses a variable that has a value as well.
    assert settings["injectUserEnvVars"] is served["injectUserEnvVars"] is False


def test_the_patch_of_kfps_api_server_names_a_priority_class_that_exists() -> None:
    patch = yaml.safe_load((MANIFESTS / "kfp" / "api-server-patch.yaml").read_text())
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    (variable,) = container["env"]
    spec = json.loads(variable["value"])
    training = named(rendered("s3"), "PriorityClass", spec["podPriorityClassName"])
    tracking = named(rendered("s3"), "PriorityClass", "dualgan-parity-tracking")
    assert training["preemptionPolicy"] == "Never" and training["value"] < tracking["value"]


@pytest.mark.parametrize("overlay", ["ascend", "gpu", "ascend910-vs-gpu"])
def test_a_pool_has_a_quota_and_a_schedule_for_its_profile(overlay: str) -> None:
    objects = rendered(overlay)
    job = named(objects, "CronJob", "dualgan-parity-retrain")
    assert job["spec"]["suspend"] is False
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    (profile,) = [entry["value"] for entry in container["env"] if entry["name"] == "PROFILE"]
    asked = {leg.resources.accelerator for leg in load_profile(profile).legs if leg.resources.accelerator}
    assert asked, "a profile of a pool asks for accelerators"
    bounded = {resource for quota in of_kind(objects, "ResourceQuota") for resource in quota["spec"]["hard"]}
    assert bounded == {f"requests.{resource}" for resource in asked}


@every_overlay
def test_the_schedule_calls_a_command_that_is_there(overlay: str) -> None:
    job = named(rendered(overlay), "CronJob", "dualgan-parity-retrain")
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    (profile,) = [entry["value"] for entry in container["env"] if entry["name"] == "PROFILE"]
    words = [*container["command"], *container["args"]]
    command, options = parse([word.replace("$(PROFILE)", profile) for word in words])
    assert (command, options["profile"], options["wait"]) == ("parity retrain", profile, False)


@pytest.mark.parametrize("overlay", ["local-storage", "s3"])
def test_without_a_pool_nothing_is_scheduled(overlay: str) -> None:
    objects = rendered(overlay)
    assert named(objects, "CronJob", "dualgan-parity-retrain")["spec"]["suspend"] is True
    assert of_kind(objects, "ResourceQuota") == []


def test_accounts_have_no_right_that_is_not_used() -> None:
    roles = of_kind(rendered("s3"), "Role", "ClusterRole")
    rights = {
        (role["kind"], group, resource, *rule.get("resourceNames", []), verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    kfp = "pipelines.kubeflow.org"
    assert rights == {
        *(("Role", kfp, resource, verb) for resource in ("experiments", "runs") for verb in ("create", "get", "list")),
        ("Role", "", "secrets", "kfp-mlflow-credentials", "get"),
    }


def test_the_patch_of_argo_retries_every_failure_of_what_asks_for_it_and_nothing_else() -> None:
    patch = yaml.safe_load((MANIFESTS / "kfp" / "workflow-controller-patch.yaml").read_text())
    assert set(patch) == {"data"} and set(patch["data"]) == {"workflowDefaults"}
    spec = yaml.safe_load(patch["data"]["workflowDefaults"])["spec"]
    # What KFP 2.17.0 ships beside it, which the patch must not take away.
    assert spec.pop("ttlStrategy") == {"secondsAfterCompletion": 3600}
    assert spec == {"templateDefaults": {"retryStrategy": {"limit": "0", "retryPolicy": "Always"}}}
