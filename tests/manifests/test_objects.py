"""Every object of every overlay and component: valid, hardened, and referring only to what is there."""

import json
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml
from kubernetes.utils.quantity import parse_quantity

from images.build import image_tag
from pipelines.profile import load_profile
from tests.manifests.flows import Peer, Pod, admitted
from tests.manifests.rendered import (
    EXAMPLE,
    MANIFESTS,
    OVERLAYS,
    SITES,
    Object,
    containers,
    environment,
    example_secrets,
    identity,
    named,
    of_kind,
    pod_templates,
    rendered,
    runs_namespace,
)
from tests.parity.parsing import parse

# The oldest release of Kubernetes that had the fields that the manifests use, and the newest that schemas ship for.
OLDEST, NEWEST = "1.27", kubernetes_validate.latest_version()
# Of the Volcano component, which says so.
NEEDS_KUBERNETES_1_36 = {"MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"}
PROMETHEUS_OPERATOR = "monitoring.coreos.com/v1"
CLUSTER_WIDE = {"Namespace", "PriorityClass", *NEEDS_KUBERNETES_1_36}
OURS, KFP = "dualgan-parity", "kubeflow"
# Of KFP's own: what its Secret and its Services are called is in its manifests.
KFP_SECRETS = {(KFP, "mlpipeline-minio-artifact"): {"accesskey", "secretkey"}}
SEAWEEDFS = Pod(KFP, (("app", "seaweedfs"),))
KFP_API_SERVER = Pod(KFP, (("app", "ml-pipeline"),))
KFP_SERVICES = {("seaweedfs", 9000): (SEAWEEDFS, 8333), ("ml-pipeline", 8888): (KFP_API_SERVER, 8888)}
# Kubernetes' own, NodeLocal DNSCache, OpenShift's.
NAME_SERVERS: list[tuple[Peer, int]] = [
    (Pod("kube-system", (("k8s-app", "kube-dns"),)), 53),
    ("169.254.20.10", 53),
    (Pod("openshift-dns", (("dns.operator.openshift.io/daemonset-dns", "default"),)), 5353),
]

pytestmark = pytest.mark.system("kubectl")
every_rendering = pytest.mark.parametrize("overlay", [*OVERLAYS, *SITES])


def test_the_overlays_are_those_that_the_documentation_names() -> None:
    assert OVERLAYS == ["ascend", "ascend910-vs-gpu", "gpu", "local-storage", "s3"]


@pytest.mark.parametrize("overlay", [*OVERLAYS, *SITES, EXAMPLE])
def test_kubernetes_knows_every_object_and_every_field(overlay: str) -> None:
    for found in [one for one in rendered(overlay) if one["apiVersion"] != PROMETHEUS_OPERATOR]:
        for version in {NEWEST} if found["kind"] in NEEDS_KUBERNETES_1_36 else {OLDEST, NEWEST}:
            try:
                kubernetes_validate.validate(found, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                pytest.fail(f"{identity(found)}, Kubernetes {version}: {error.message}")


def test_the_examples_of_secrets_are_valid_empty_and_the_same() -> None:
    for secret in yaml.safe_load_all((MANIFESTS / "secrets.example.yaml").read_text()):
        kubernetes_validate.validate(secret, NEWEST, strict=True)
        assert set(secret["stringData"].values()) == {""}
    found = list(yaml.safe_load_all((MANIFESTS / "external-secrets.example.yaml").read_text()))
    assert {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in found} == set(example_secrets())
    for one in found:
        assert (one["apiVersion"], one["kind"]) == ("external-secrets.io/v1", "ExternalSecret")
        (entry,) = one["spec"]["dataFrom"]
        assert entry["extract"]["key"] == f"{OURS}/{one['metadata']['name']}"


@every_rendering
def test_no_object_appears_twice_and_all_say_whose_they_are(overlay: str) -> None:
    objects, runs = rendered(overlay), runs_namespace(overlay)
    names = [identity(found) for found in objects]
    assert len(set(names)) == len(names)
    for found in objects:
        assert found["metadata"]["labels"]["app.kubernetes.io/part-of"] == "dualgan-parity", identity(found)
        if found["kind"] not in CLUSTER_WIDE:
            assert found["metadata"]["namespace"] in {OURS, runs}, identity(found)
    # KFP's namespace is KFP's: what is put there is told by its name, but for the map that KFP looks for.
    guests = {found["metadata"]["name"] for found in objects if found["metadata"].get("namespace") == runs}
    assert {name for name in guests if not name.startswith("dualgan-parity")} <= {
        "kfp-launcher",
        "seaweedfs-from-mlflow",
    }


@every_rendering
def test_pods_are_restricted_bounded_probed_and_of_images_that_are_built(overlay: str) -> None:
    """As Kubernetes' Pod Security Standard "restricted" asks, and with a root file system that is not written."""
    images = set()
    for owner, template in pod_templates(rendered(overlay)):
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False, identity(owner)
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        user = dict(pod["securityContext"])
        assert user.pop("runAsNonRoot") is True and user.pop("seccompProfile") == {"type": "RuntimeDefault"}
        assert user["runAsUser"] > 0 and user.keys() <= {"runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy"}
        # A proxy beside a job would never end, and so the job neither.
        alone = template["metadata"]["labels"].get("sidecar.istio.io/inject")
        assert alone == ("false" if owner["kind"] == "CronJob" else None), identity(owner)
        for volume in pod.get("volumes", []):
            assert set(volume) - {"name"} <= {"emptyDir", "configMap", "secret", "projected"}
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""})
        for container in containers(template):
            resources = container["resources"]
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }
            assert not [port for port in container.get("ports", []) if "hostPort" in port]
            assert {"cpu", "memory"} <= set(resources["requests"]) & set(resources["limits"]), identity(owner)
            images.add(container["image"])
            for probe in ("startupProbe", "readinessProbe", "livenessProbe") if owner["kind"] != "CronJob" else ():
                assert {"httpGet", "exec"} & set(container[probe]), f"{identity(owner)} {probe}"
    assert images - {"postgres:17.6-bookworm"} == {image_tag("mlflow"), image_tag("cpu")}


@every_rendering
def test_everything_that_is_referred_to_is_there_and_no_secret_is_unused(overlay: str) -> None:
    objects = rendered(overlay)
    secrets = {**example_secrets(runs_namespace(overlay)), **KFP_SECRETS}
    accounts = {(a["metadata"]["namespace"], a["metadata"]["name"]) for a in of_kind(objects, "ServiceAccount")}
    priorities = {found["metadata"]["name"] for found in of_kind(objects, "PriorityClass")}
    maps = {(m["metadata"]["namespace"], m["metadata"]["name"]): set(m["data"]) for m in of_kind(objects, "ConfigMap")}
    for owner, template in pod_templates(objects):
        namespace, pod = owner["metadata"]["namespace"], template["spec"]
        assert (namespace, pod["serviceAccountName"]) in accounts
        assert pod.get("priorityClassName") in {None, *priorities}
        for volume in pod.get("volumes", []):
            referred = volume.get("configMap", {"optional": True})
            assert referred.get("optional") or (namespace, referred["name"]) in maps
            assert "secret" not in volume or (namespace, volume["secret"]["secretName"]) in secrets
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in owner["spec"].get("volumeClaimTemplates", [])}
        for container in containers(template):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            for source in container.get("envFrom", []):
                assert (namespace, source["configMapRef"]["name"]) in maps
            for reference in [entry.get("valueFrom", {}).get("secretKeyRef") for entry in container.get("env", [])]:
                assert reference is None or reference["key"] in secrets[namespace, reference["name"]]
    for binding in of_kind(objects, "RoleBinding"):
        namespace = binding["metadata"]["namespace"]
        assert named(objects, "Role", binding["roleRef"]["name"])["metadata"]["namespace"] == namespace
        for subject in binding["subjects"]:
            assert (subject["namespace"], subject["name"]) in {*accounts, (KFP, "ml-pipeline")}
    text = yaml.safe_dump_all(objects)
    assert {name for _, name in example_secrets() if name not in text} == set()


@every_rendering
def test_selectors_find_their_pods(overlay: str) -> None:
    objects = rendered(overlay)
    templates = [(owner, template) for owner, template in pod_templates(objects)]
    for owner, template in templates:
        if owner["kind"] != "CronJob":
            assert owner["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    for service in of_kind(objects, "Service"):
        namespace, selector = service["metadata"]["namespace"], service["spec"]["selector"].items()
        of_namespace = [template for owner, template in templates if owner["metadata"]["namespace"] == namespace]
        (target,) = [template for template in of_namespace if selector <= template["metadata"]["labels"].items()]
        ports = {port["name"]: port["containerPort"] for c in containers(target) for port in c["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]


@every_rendering
def test_policies_admit_the_flows_that_variables_name_and_no_others(overlay: str) -> None:
    objects, runs = rendered(overlay), runs_namespace(overlay)
    pods = {owner["metadata"]["name"]: _pod(owner, template) for owner, template in pod_templates(objects)}
    mlflow, retrain, database = pods["mlflow"], pods["dualgan-parity-retrain"], pods.get("postgresql")
    task = Pod(runs, (("app.kubernetes.io/part-of", "dualgan-parity"), ("pipelines.kubeflow.org/v2_component", "true")))
    callers = [name for name in pods if name != "postgresql"]
    wanted = [
        *((pods[name], *_place(url, pods)) for name in callers for url in _addresses(objects, name, runs)),
        *((pod, mlflow, 5000) for pod in (task, KFP_API_SERVER)),
        *((pod, *server) for pod in (task, *(pods[name] for name in callers)) for server in NAME_SERVERS),
        *((task, target, port) for target, port in ((SEAWEEDFS, 8333), (KFP_API_SERVER, 8887), (None, 443))),
    ]
    # Storage and database of MLflow; MLflow, KFP and storage of the retrain job; MLflow of the job for accounts.
    assert len(wanted) >= 6 + 2 + 3 * len(callers)
    for source, target, port in wanted:
        assert admitted(objects, source, target, port), f"{source} to {target}, port {port}"

    stranger = Pod("default", ())
    unwanted: list[tuple[Peer, Peer, int]] = [
        (stranger, mlflow, 5000),
        (stranger, task, 8080),
        (task, task, 2222),
        (task, None, 25),
        (task, "169.254.169.254", 80),
        (task, Pod("default", ()), 8080),
        (mlflow, KFP_API_SERVER, 8888),
        (mlflow, None, 80),
        (retrain, None, 80),
        (retrain, "169.254.169.254", 80),
        (pods["mlflow-accounts"], None, 443),
    ]
    if database:
        strangers = (retrain, pods["mlflow-accounts"], KFP_API_SERVER, Pod(OURS, ()))
        unwanted += [*((one, database, 5432) for one in strangers), (database, None, 443)]
    for begin, end, number in unwanted:
        assert not admitted(objects, begin, end, number), f"{begin} to {end}, port {number}"


def _pod(owner: Object, template: Object) -> Pod:
    ports = [(port["name"], port["containerPort"]) for c in containers(template) for port in c.get("ports", [])]
    return Pod(owner["metadata"]["namespace"], tuple(template["metadata"]["labels"].items()), tuple(ports))


def _addresses(objects: tuple[Object, ...], name: str, runs: str) -> list[str]:
    """Every address among the variables of the pods that are called ``name``."""
    owner, template = next(pair for pair in pod_templates(objects) if pair[0]["metadata"]["name"] == name)
    secrets = {place: dict.fromkeys(keys, "secret") for place, keys in example_secrets(runs).items()}
    variables = environment(objects, owner, containers(template)[0], secrets)
    if "PGHOST" in variables:
        variables["database"] = f"postgresql://{variables['PGHOST']}:{variables['PGPORT']}"
    # Whom MLflow answers is not where it goes.
    variables.pop("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", None)
    # A scheme and a host: not postgresql+psycopg2:// alone, nor a bucket.
    return [value for value in variables.values() if urlsplit(value).hostname and urlsplit(value).scheme != "s3"]


def _place(address: str, pods: dict[str, Pod]) -> tuple[Pod | None, int]:
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
    service = host.partition(".")[0]
    if host.endswith(".example"):
        return None, port
    return KFP_SERVICES[service, port] if (service, port) in KFP_SERVICES else (pods[service], port)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kfps_launcher_and_plugin_find_mlflow_and_their_credentials(overlay: str) -> None:
    objects, secrets = rendered(overlay), {**example_secrets(), **KFP_SECRETS}
    data = named(objects, "ConfigMap", "kfp-launcher")["data"]
    provider = yaml.safe_load(data["providers"])[urlsplit(data["defaultPipelineRoot"]).scheme]["default"]
    reference = provider["credentials"]["secretRef"]
    assert {reference["accessKeyKey"], reference["secretKeyKey"]} <= secrets[KFP, reference["secretName"]]
    served = json.loads((MANIFESTS / "kfp" / "mlflow-plugin.json").read_text())["plugins"]["mlflow"]
    assert served["endpoint"] == named(objects, "ConfigMap", "dualgan-parity")["data"]["MLFLOW_TRACKING_URI"]
    for settings in (json.loads(data["plugins.mlflow"])["settings"], served["settings"]):
        assert set(settings["credentialSecretRef"].values()) == secrets[KFP, "kfp-mlflow-credentials"]
        # Tasks have the same variables by reference, and Kubernetes refuses a variable that has a value as well.
        assert settings["injectUserEnvVars"] is False


def test_the_patches_of_kfp_give_a_priority_class_that_exists_and_retry_every_failure_of_what_asks_for_it() -> None:
    patch = yaml.safe_load((MANIFESTS / "kfp" / "api-server-patch.yaml").read_text())
    ((variable,),) = [container["env"] for container in patch["spec"]["template"]["spec"]["containers"]]
    training = named(rendered("s3"), "PriorityClass", json.loads(variable["value"])["podPriorityClassName"])
    tracking = named(rendered("s3"), "PriorityClass", "dualgan-parity-tracking")
    assert training["preemptionPolicy"] == "Never" and training["value"] < tracking["value"]
    patch = yaml.safe_load((MANIFESTS / "kfp" / "workflow-controller-patch.yaml").read_text())
    assert set(patch) == {"data"} and set(patch["data"]) == {"workflowDefaults"}
    assert yaml.safe_load(patch["data"]["workflowDefaults"])["spec"] == {
        # What KFP 2.17.0 ships beside it, which the patch must not take away.
        "ttlStrategy": {"secondsAfterCompletion": 3600},
        "templateDefaults": {"retryStrategy": {"limit": "0", "retryPolicy": "Always"}},
    }


@every_rendering
def test_a_pool_has_a_quota_and_a_schedule_for_its_profile_and_without_one_nothing_is_scheduled(overlay: str) -> None:
    objects, runs = rendered(overlay), runs_namespace(overlay)
    job = named(objects, "CronJob", "dualgan-parity-retrain")["spec"]
    (container,) = job["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    (profile,) = [entry["value"] for entry in container["env"] if entry["name"] == "PROFILE"]
    words = [word.replace("$(PROFILE)", profile) for word in (*container["command"], *container["args"])]
    command, options = parse(words)
    assert (command, options["profile"], options["wait"]) == ("parity retrain", profile, False)
    quotas = [one["spec"]["hard"] for one in of_kind(objects, "ResourceQuota") if one["metadata"]["namespace"] == runs]
    assert job["suspend"] is (not quotas) is (overlay in ("local-storage", "s3"))
    if quotas:
        legs = [leg.resources.accelerator for leg in load_profile(profile).legs]
        assert {name for hard in quotas for name in hard} == {f"requests.{name}" for name in legs if name}


def test_mlflow_its_database_and_two_of_its_jobs_fit_into_the_quota() -> None:
    objects = rendered("every-option")
    (quota,) = [one for one in of_kind(objects, "ResourceQuota") if one["metadata"]["namespace"] == OURS]
    templates = [pair for pair in pod_templates(objects) if pair[0]["metadata"]["namespace"] == OURS]
    for bound, hard in quota["spec"]["hard"].items():
        if bound == "pods":
            continue
        side, _, resource = bound.partition(".")
        asked: dict[bool, list[float]] = {True: [], False: []}
        for owner, template in templates:
            amounts = [float(parse_quantity(one["resources"][side][resource])) for one in containers(template)]
            together = sum(amounts[-len(template["spec"]["containers"]) :])
            asked[owner["kind"] == "CronJob"].append(max(together, *amounts))
        assert sum(asked[False]) + sum(sorted(asked[True])[-2:]) <= parse_quantity(hard), bound


def test_accounts_have_no_right_that_is_not_used() -> None:
    rules = [(role["kind"], rule) for role in of_kind(rendered("s3"), "Role", "ClusterRole") for rule in role["rules"]]
    rights = {
        (kind, *rule["apiGroups"], resource, *rule.get("resourceNames", []), verb)
        for kind, rule in rules
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    kfp = "pipelines.kubeflow.org"
    assert rights == {
        *(
            ("Role", kfp, resource, verb)
            for resource in ("experiments", "runs", "pipelines")
            for verb in ("create", "get", "list")
        ),
        ("Role", "", "secrets", "kfp-mlflow-credentials", "get"),
    }
