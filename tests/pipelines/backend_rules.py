"""What a real Kubeflow refuses of a package and of a task's outputs, as seen on KFP 2.17.0 and Kubernetes 1.36.

A model of three of its parts, which KFP's local runner and its compiler know nothing of: the launcher, which turns what
a component returned into ML Metadata; the merge of what a package and the MLflow plugin want in a pod's environment;
and Pod Security at the level "restricted". Besides, what makes a run hang or be killed: no time limit, a window for
tries that is too small, no architecture beside nodes of another one. Each function returns what would be refused.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from kubernetes.utils.quantity import parse_quantity

ARCHITECTURE = "kubernetes.io/arch"
MAX_DEADLINE = 2**31 - 1
MAX_METADATA_BYTES = 2000


def refused_output(text: str) -> list[str]:
    """Return what the launcher refuses of an executor_output.json."""
    try:
        json.loads(text, parse_constant=_refuse_constant)
        output = json_format.Parse(text, pipeline_spec_pb2.ExecutorOutput())
    except (ValueError, json_format.ParseError) as error:
        return [f"the launcher cannot read it: {error}"]
    return [
        f"unable to produce MLMD artifact for output {name!r}: {key}: unknown value type Value_NullValue"
        for name, artifacts in sorted(output.artifacts.items())
        for artifact in artifacts.artifacts
        for key, value in sorted(artifact.metadata.fields.items())
        if value.WhichOneof("kind") in ("null_value", None)
    ]


def long_metadata(text: str) -> list[str]:
    """Return the artifacts of an executor_output.json whose metadata is too long for every reader's arguments."""
    artifacts = json.loads(text).get("artifacts", {})
    sizes = {name: len(json.dumps(one["artifacts"][0].get("metadata", {}))) for name, one in artifacts.items()}
    return [f"{name}: {size} bytes of metadata" for name, size in sizes.items() if size > MAX_METADATA_BYTES]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"invalid value {name}")


def refused_package(file: Path) -> list[str]:
    """Return what is wrong with the tasks of a compiled package."""
    specification, *platform = yaml.safe_load_all(file.read_text(encoding="utf-8"))
    pods = platform[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"] if platform else {}
    found = []
    for name, task in specification["root"]["dag"]["tasks"].items():
        label = specification["components"][task["componentRef"]["name"]]["executorLabel"]
        container = specification["deploymentSpec"]["executors"][label]["container"]
        pod = pods.get(label, {})
        complaints = [
            *_environment(container, pod),
            *_security(pod),
            *_resources(container.get("resources", {}), pod),
            *_time(task.get("retryPolicy", {}), pod),
            *_nodes(pod),
            *_metadata(pod.get("podMetadata", {})),
        ]
        found += [f"{name}: {complaint}" for complaint in complaints]
    return found


def _environment(container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    """A variable with a value from two places makes a pod that the API server refuses, and KFP says nothing."""
    names = [entry["name"] for entry in container.get("env", [])]
    for kind in ("secretAsEnv", "configMapAsEnv"):
        names += [pair["envVar"] for entry in pod.get(kind, []) for pair in entry["keyToEnv"]]
    names += [entry["name"] for entry in pod.get("fieldPathAsEnv", [])]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"variable {name} has several values: valueFrom may not be specified when value is not empty"


def _security(pod: Mapping[str, Any]) -> Iterator[str]:
    """KFP's launcher sets the other requirements of the level "restricted" itself."""
    context = pod.get("securityContext", {})
    if not context.get("runAsNonRoot"):
        yield "runAsNonRoot != true: forbidden where Pod Security is restricted"
    if not int(context.get("runAsUser", 0)):
        yield "runs as root, or as whom its image says"
    if "runAsGroup" not in context:
        yield "says no group"
    if "hostPathMount" in pod:
        yield "mounts a folder of its node: forbidden where Pod Security is restricted"


def _resources(stated: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    for what in ("Cpu", "Memory"):
        request, limit = stated.get(f"resource{what}Request"), stated.get(f"resource{what}Limit")
        if not (request and limit):
            yield f"asks for no {what.lower()}, or has no limit of it"
        elif parse_quantity(request) > parse_quantity(limit):
            yield f"asks for more {what.lower()} ({request}) than its limit ({limit})"
    for mount in pod.get("emptyDirMounts", []):
        limit = stated.get("resourceMemoryLimit", "0")
        if mount.get("medium") == "Memory" and parse_quantity(mount["sizeLimit"]) >= parse_quantity(limit):
            yield f"{mount['mountPath']} may take all of its memory ({limit})"
    accelerator = stated.get("accelerator", {})
    if accelerator and ("/" not in accelerator["resourceType"] or not int(accelerator["resourceCount"])):
        yield f"accelerator {accelerator['resourceType']}: no resource of a device plugin"


def _time(retries: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[str]:
    """Argo ends whatever still runs when the longest back-off is over, counted from the first try's start."""
    deadline = int(pod.get("activeDeadlineSeconds", 0))
    if not 0 < deadline <= MAX_DEADLINE:
        yield "has no time limit: with a wrong image it hangs for ever"
    tries = int(retries.get("maxRetryCount", 0)) + 1
    window = float(retries.get("backoffMaxDuration", "0s").removesuffix("s"))
    if tries > 1 and not tries * deadline < window <= MAX_DEADLINE:
        yield f"a try that runs is killed {window:g} s after the first one's start; {tries} tries may take longer"


def _nodes(pod: Mapping[str, Any]) -> Iterator[str]:
    if ARCHITECTURE not in pod.get("nodeSelector", {}).get("labels", {}):
        yield f"says no {ARCHITECTURE}: exec format error on a node of another architecture"
    required = [term for term in pod.get("nodeAffinity", []) if "weight" not in term]
    if len(required) > 1:
        yield "several required terms of node affinity: KFP's driver makes alternatives of them"
    if not all(term.keys() & {"matchExpressions", "matchFields", "nodeAffinityJson"} for term in required):
        yield "an empty term of node affinity: KFP's driver leaves it out"


def _metadata(metadata: Mapping[str, Any]) -> Iterator[str]:
    """KFP hands labels and annotations to Argo as parameters of a template, which Argo fills in as it does its own."""
    if metadata.get("labels", {}).get("app.kubernetes.io/part-of") != "dualgan-parity":
        yield "no network policy finds it"
    for key, value in {**metadata.get("labels", {}), **metadata.get("annotations", {})}.items():
        if not isinstance(value, str) or "{{" in value:
            yield f"{key}: {value!r} is no text, or a variable of Argo's"
        if key.startswith("workflows.argoproj.io/"):
            yield f"{key}: Argo would lose its pod"
