"""The MLflow that tasks are told of, whoever runs it, and what ours needs besides."""

import base64
import re
from urllib.parse import urlsplit

import urllib3

from components.common.address import Address
from pipelines.doctor.check import FILL_IN, Check, Checks, Examination, container, placeholder
from pipelines.doctor.cluster import Unknown

LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
# What manifests/secrets.example.yaml has for our own MLflow.
SECRETS_OF_OURS = {
    "mlflow-database": {"username", "password"},
    "mlflow-artifacts": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    "mlflow-admin": {"username", "password", "flask-secret-key"},
    "mlflow-accounts": {"tasks"},
}


def mlflow(at: Examination) -> Checks:
    """Whether the MLflow that tasks are told of answers and knows their login, whoever runs it."""
    source = at.needs.source_of("MLFLOW_TRACKING_URI")
    told = at.config(source.name).get(source.key) if source else None
    here = list(_asked_from_here(at, at.place.mlflow_address))
    yield from here
    if told:
        try:
            yield from _asked_there(at, told, bool(here))
        except Unknown:
            # It answered here, so that it does there is likely enough.
            if not here:
                raise
    elif not here:
        advice = "name it in the config map dualgan-parity, or submit with --parameter tracking_uri=..."
        yield Check("MLflow", "cannot tell", "tasks are told of no MLFLOW_TRACKING_URI", advice, required=False)


def _asked_there(at: Examination, address: str, known: bool) -> Checks:
    """What the MLflow at an address of the cluster says: of a service to the API server, else to this machine."""
    parts, label = urlsplit(address), str(Address(address))
    service, _, rest = (parts.hostname or "").partition(".")
    namespace = rest.removesuffix(".cluster.local").removesuffix(".svc") or at.place.runs
    if "." in namespace or not at.cluster.get("namespaces", namespace):
        detail = f"{label} does not answer here; it may be the cluster's alone to reach"
        unknown = Check("MLflow", "cannot tell", detail, "the first task of a run tells", required=False)
        yield from list(_asked_from_here(at, address)) or [unknown]
        return
    port = parts.port or 80
    status, _ = at.cluster.ask_service(namespace, f"{service}:{port}", f"{parts.path.rstrip('/')}/health")
    if status != 200:
        advice = f"kubectl describe service {service} -n {namespace}; kubectl get pods -n {namespace}"
        yield Check("MLflow", "missing", f"{label} does not answer ({status})", advice)
        return
    yield Check("MLflow", "ok", f"{label} answers")
    if not known:
        forward = f"kubectl port-forward -n {namespace} service/{service} 5000:{port}"
        advice = f"{forward}; --tracking-uri http://localhost:5000"
        yield Check("MLflow's login", "cannot tell", "the Kubernetes API passes none on", advice, required=False)


def _asked_from_here(at: Examination, address: str) -> Checks:
    """What an MLflow says of its version and of the tasks' login; nothing if it is not to be reached from here."""
    if not address.startswith(("http://", "https://")):
        return
    login, label, subject = _login(at), str(Address(address)), "MLflow's version and login"
    headers = urllib3.make_headers(basic_auth=login) if login else {}
    http = urllib3.PoolManager(retries=False, timeout=5.0, headers=headers)
    try:
        version = http.request("GET", f"{address.rstrip('/')}/version")
        asked = http.request("GET", f"{address.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1")
    except (urllib3.exceptions.HTTPError, ValueError):
        return
    release = version.data.decode("utf-8", "replace").strip()
    if b"Invalid Host header" in asked.data:
        return
    if asked.status in (401, 403):
        who = "the login of tasks" if login else "tasks without a login"
        yield Check(subject, "missing", f"{label} does not accept {who} ({asked.status})", FILL_IN)
    elif asked.status != 200 or not asked.data.lstrip().startswith(b"{"):
        yield Check(subject, "missing", f"{label} is no MLflow: it answers {asked.status}", "see --tracking-uri")
    else:
        known = release if re.fullmatch(r"\d[\w.]*", release) else "of an unknown version"
        yield Check(subject, "ok", f"{label} answers, {known}; the tasks' login is accepted")


def our_mlflow(at: Examination) -> Checks:
    """What our own MLflow needs, if it is there."""
    subject, namespace = "MLflow's storage", at.place.tracking
    server = at.cluster.get("deployments", "mlflow", namespace)
    if not server:
        return
    for name, keys in SECRETS_OF_OURS.items():
        yield at.secret(namespace, name, keys, required=False)
    for source in container(server).get("envFrom", []):
        if name := source.get("configMapRef", {}).get("name"):
            found = placeholder(subject, at.config(name, namespace), required=False)
            yield found or Check(subject, "ok", name, required=False)


def _login(at: Examination) -> str | None:
    """USER:PASSWORD with which tasks log in to MLflow, None if they do not. Raises Unknown if it may not be read."""
    values = []
    for source in filter(None, map(at.needs.source_of, LOGIN)):
        data = at.cluster.get("secrets", source.name, at.place.runs).get("data") or {}
        values.append(base64.b64decode(data.get(source.key) or "").decode().strip())
    return ":".join(values) if len(values) == len(LOGIN) and all(values) else None
