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
COLLECTIONS = {
    "Namespace": "/api/v1/{plural}",
    "Node": "/api/v1/{plural}",
    "Secret": "/api/v1/namespaces/{namespace}/{plural}",
    "ConfigMap": "/api/v1/namespaces/{namespace}/{plural}",
    "ResourceQuota": "/api/v1/namespaces/{namespace}/{plural}",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/{plural}",
    "DaemonSet": "/apis/apps/v1/{plural}",
    "CronJob": "/apis/batch/v1/namespaces/{namespace}/{plural}",
    "MutatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/{plural}",
    "PriorityClass": "/apis/scheduling.k8s.io/v1/{plural}",
}
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
PROXY = "/api/v1/namespaces/{}/services/{}/proxy{}"
KFP_HEALTH = PROXY.format("kubeflow", "ml-pipeline:8888", "/apis/v2beta1/healthz")
MLFLOW_HEALTH = PROXY.format("dualgan-parity", "mlflow:5000", "/health")


@dataclass
class FakeKubernetes:
    """What is there, who may do what, and what was asked for."""

    objects: list[Object] = field(default_factory=list)
    # What services answer to the API server; a service that is not here is not there.
    services: dict[str, Any] = field(default_factory=lambda: {KFP_HEALTH: {"multi_user": False}, MLFLOW_HEALTH: "OK"})
    rights: set[tuple[str, str, str]] = field(default_factory=set)
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
            found = self.services.get(path)
            return (200, found) if found else (503, _status(503, "no endpoints available"))
        for one in self.objects:
            if path == f"{collection(one)}/{one['metadata']['name']}":
                return 200, one
        if path.rpartition("/")[2] in {_plural(kind) for kind in COLLECTIONS}:
            return 200, {"items": [one for one in self.objects if collection(one) == path]}
        return 404, _status(404, "not found")

    def review(self, body: Object) -> Object:
        """A SubjectAccessReview with its answer; an AssertionError where Kubernetes would not take it."""
        attributes = body["spec"]["resourceAttributes"]
        known = client.V1ResourceAttributes.attribute_map.values()
        assert set(attributes) <= set(known) and body["spec"]["user"].count(":") == 3
        account = body["spec"]["user"].rpartition(":")[2]
        return {**body, "status": {"allowed": (account, attributes["verb"], attributes["resource"]) in self.rights}}


def collection(one: Object) -> str:
    namespace = one["metadata"].get("namespace", "")
    return COLLECTIONS[one["kind"]].format(namespace=namespace, plural=_plural(one["kind"]))


def _plural(kind: str) -> str:
    return kind.lower().removesuffix("y") + ("ies" if kind.endswith("y") else "es" if kind.endswith("s") else "s")


def _status(code: int, message: str) -> Object:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}


@contextlib.contextmanager
def serve(cluster: FakeKubernetes, folder: Path) -> Iterator[Path]:
    """A kubeconfig whose context "fake" is the cluster."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send(lambda: cluster.answer(self.path))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send(lambda: (201, cluster.review(body)) if self.path == REVIEWS else (405, _status(405, "")))

        def send(self, answer: Any) -> None:
            cluster.asked.append(f"{self.command} {self.path}")
            if self.headers.get("Authorization") != f"Bearer {cluster.token}":
                code, body = 401, _status(401, "Unauthorized")
            elif any(part in self.path for part in cluster.forbidden):
                code, body = 403, _status(403, "forbidden")
            else:
                code, body = answer()
            text = isinstance(body, str)
            content = (str(body) if text else json.dumps(body)).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if text else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield kubeconfig(folder, f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def kubeconfig(folder: Path, address: str) -> Path:
    """A kubeconfig with one context, "fake"."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": address}}],
        "users": [{"name": "fake", "user": {"token": "valid"}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path
