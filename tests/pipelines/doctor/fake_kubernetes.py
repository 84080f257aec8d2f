"""An API server that serves given objects, and refuses what it is told to refuse."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client

Object = dict[str, Any]
CORE = ("Namespace", "Node", "Secret", "ConfigMap", "ResourceQuota")
GROUPS = dict.fromkeys(CORE, "/api/v1") | {
    "Deployment": "/apis/apps/v1",
    "DaemonSet": "/apis/apps/v1",
    "CronJob": "/apis/batch/v1",
    "MutatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1",
    "NetworkPolicy": "/apis/networking.k8s.io/v1",
    "PriorityClass": "/apis/scheduling.k8s.io/v1",
}
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
PROXY = "/api/v1/namespaces/{}/services/{}/proxy{}"
KFP_HEALTH = PROXY.format("kubeflow", "ml-pipeline:8888", "/apis/v2beta1/healthz")
MLFLOW_HEALTH = PROXY.format("dualgan-parity", "mlflow:5000", "/health")


@dataclass
class FakeKubernetes:
    """What is there, who may do what, and what was asked for."""

    objects: list[Object]
    rights: set[tuple[str, str, str]]
    # What services answer to the API server; a service that is not here is not there.
    services: dict[str, Any] = field(default_factory=lambda: {KFP_HEALTH: {"multi_user": False}, MLFLOW_HEALTH: "OK"})
    forbidden: set[str] = field(default_factory=set)
    token: str = "valid"
    version: Object | None = field(
        default_factory=lambda: dict.fromkeys(client.VersionInfo.attribute_map.values(), "") | {"gitVersion": "v1.32.4"}
    )
    asked: list[str] = field(default_factory=list)

    def find(self, kind: str, name: str) -> Object:
        (found,) = [one for one in self.objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
        return found

    def remove(self, kind: str, name: str) -> None:
        self.objects.remove(self.find(kind, name))

    def answer(self, path: str) -> tuple[int, Any]:
        """The status and body of a GET."""
        if path == "/version/" and self.version:
            return 200, self.version
        if "/proxy/" in path:
            return (200, self.services[path]) if path in self.services else (503, {"message": "no endpoints"})
        for one in self.objects:
            if path == f"{_collection(one)}/{one['metadata']['name']}":
                return 200, one
        found = [one for one in self.objects if path in (_collection(one), _collection(one, everywhere=True))]
        is_list = path.rpartition("/")[2] in map(_plural, GROUPS)
        return (200, {"items": found}) if is_list else (404, {"message": "not found"})

    def review(self, body: Object) -> Object:
        """A SubjectAccessReview with its answer; an AssertionError for what Kubernetes would not take."""
        attributes = body["spec"]["resourceAttributes"]
        known = client.V1ResourceAttributes.attribute_map.values()
        assert set(attributes) <= set(known) and body["spec"]["user"].count(":") == 3
        account = body["spec"]["user"].rpartition(":")[2]
        return {**body, "status": {"allowed": (account, attributes["verb"], attributes["resource"]) in self.rights}}


def _collection(one: Object, everywhere: bool = False) -> str:
    namespace = "" if everywhere else one["metadata"].get("namespace", "")
    return f"{GROUPS[one['kind']]}/{f'namespaces/{namespace}/' if namespace else ''}{_plural(one['kind'])}"


def _plural(kind: str) -> str:
    return kind.lower().removesuffix("y") + ("ies" if kind.endswith("y") else "es" if kind.endswith("s") else "s")


@contextlib.contextmanager
def serve(cluster: FakeKubernetes, folder: Path) -> Iterator[Path]:
    """A kubeconfig whose context "fake" is the cluster."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body: Any = {"message": "refused"}
            cluster.asked.append(f"{self.command} {self.path}")
            if self.headers.get("Authorization") != f"Bearer {cluster.token}":
                code = 401
            elif any(part in self.path for part in cluster.forbidden):
                code = 403
            elif self.command == "POST":
                assert self.path == REVIEWS
                code, body = 201, cluster.review(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            else:
                code, body = cluster.answer(self.path)
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        try:
            yield kubeconfig(folder, f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()


def kubeconfig(folder: Path, address: str) -> Path:
    """A kubeconfig with one context, "fake"."""
    content = {
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": address}}],
        "users": [{"name": "fake", "user": {"token": "valid"}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path
