"""A KFP API server for tests: it keeps experiments, runs and recurring runs, and takes only what KFP's own models take.

A request body is read by the class of kfp_server_api that KFP generates from its OpenAPI file, which refuses unknown
fields here, and every answer is one of those classes again.
"""

import email
import json
import re
import secrets
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

API = "/apis/v2beta1"


class Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class KfpServer:
    """What the server holds. ``states`` are those that a run goes through, one a look, staying at the last."""

    url: str = ""
    # What a login proxy before KFP asks for, and the path that it is behind.
    cookie: str | None = None
    prefix: str = ""
    states: tuple[str, ...] = ("PENDING", "RUNNING", "SUCCEEDED")
    token: str | None = None
    # Answers for the next requests, before any that is real: status codes; 0 drops the connection.
    troubles: list[int] = field(default_factory=list)
    # The next runs are made, or recurring ones deleted, and the connection is dropped before the answer.
    lost_answers: int = 0
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    recurring_runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    # The logs of tasks by Argo's name of their try; what is not here has no container yet, and is answered with 500.
    logs: dict[str, str] = field(default_factory=dict)
    # What KFP answered for a real run, one a look, staying at the last; then ``states`` play no part.
    recorded: list[dict[str, Any]] = field(default_factory=list)
    # What answers each request instead, with 200, where that is set.
    page: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, target: str, body: bytes, headers: Message) -> Any:  # noqa: PLR0911, PLR0912 - one a call
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        self.requests.append(f"{method} {path}")
        if self.cookie is not None and headers.get("cookie") != self.cookie:
            return "<html>sign in</html>"
        if self.token is not None and headers.get("authorization") != f"Bearer {self.token}":
            raise Refusal(401, "Request not authenticated")
        if not path.startswith(self.prefix):
            raise Refusal(404, "Not Found")
        path = path.removeprefix(self.prefix)
        if log := re.fullmatch(r"/apis/v1alpha1/runs/([^/]+)/nodes/([^/]+)/log", path):
            return self._log(*log.groups())
        if not path.startswith(API):
            raise Refusal(404, "Not Found")
        what = path.removeprefix(API).strip("/").split("/")
        with self.lock:
            match method, what:
                case "GET", ["healthz"]:
                    return {"multi_user": False}
                case "GET", ["experiments"]:
                    return _page("experiments", self.experiments, query)
                case "POST", ["experiments"]:
                    return self._new_experiment(_read(body, "V2beta1Experiment"))
                case "GET", ["runs"]:
                    return _page("runs", dict(reversed(self.runs.items())), query)
                case "POST", ["runs"]:
                    return self._new_run(_read(body, "V2beta1Run"))
                case "GET", ["runs", run_id]:
                    return self._look(run_id)
                case "POST", ["runs", run_id] if run_id.endswith(":terminate"):
                    self._of(run_id.removesuffix(":terminate"))["state"] = "CANCELED"
                    return {}
                case "GET", ["recurringruns"]:
                    return _page("recurringRuns", self.recurring_runs, query)
                case "POST", ["recurringruns"]:
                    return self._new_recurring_run(_read(body, "V2beta1RecurringRun"))
                case "GET", ["pipelines"]:
                    return _page("pipelines", self.pipelines, query)
                case "POST", ["pipelines"]:
                    return self._new_pipeline(_read(body, "V2beta1Pipeline"))
                case "GET", ["pipelines", identifier, "versions"]:
                    return self._versions_of(identifier, query)
                case "POST", ["pipelines", "upload_version"]:
                    return self._new_version(query, body, headers)
                case "DELETE", ["recurringruns", identifier]:
                    if self.recurring_runs.pop(identifier, None) is None:
                        raise Refusal(404, f"recurring run {identifier} not found")
                    return {}
        raise Refusal(404, f"no {method} {path}")

    def _new_experiment(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["display_name"] in [one["display_name"] for one in self.experiments.values()]:
            raise Refusal(409, f"The name {asked['display_name']} already exists. Please specify a new name.")
        identifier = f"experiment-{len(self.experiments) + 1}"
        made = {**asked, "experiment_id": identifier, "created_at": datetime.now(UTC).isoformat()}
        self.experiments[identifier] = made
        return made

    def _new_pipeline(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["name"] in [one["name"] for one in self.pipelines.values()]:
            raise Refusal(409, f"Already exist error: pipeline {asked['name']}")
        identifier = f"pipeline-{len(self.pipelines) + 1}"
        self.pipelines[identifier] = {**asked, "pipeline_id": identifier}
        return self.pipelines[identifier]

    def _versions_of(self, pipeline: str, query: Mapping[str, list[str]]) -> dict[str, Any]:
        if pipeline not in self.pipelines or "namespace" in query:
            raise Refusal(404, f"no pipeline {pipeline}, or another parameter than KFP's")
        mine = {name: one for name, one in self.versions.items() if one["pipeline_id"] == pipeline}
        return _page("pipeline_versions", mine, query)

    def _new_version(self, query: Mapping[str, list[str]], body: bytes, headers: Message) -> dict[str, Any]:
        """As KFP does with a file of a form: its name's ending says how to read it."""
        form: Any = email.message_from_bytes(f"Content-Type: {headers['content-type']}\r\n\r\n".encode() + body)
        (part,) = form.get_payload()
        (pipeline,), (name,) = query["pipelineid"], query["name"]
        if part.get_param("name", header="content-disposition") != "uploadfile" or pipeline not in self.pipelines:
            raise Refusal(400, "Failed to read the file of the form, or no such pipeline")
        if not part.get_filename().endswith(".yaml"):
            raise Refusal(400, f"Failed to read {part.get_filename()}")
        if (pipeline, name) in [(one["pipeline_id"], one["name"]) for one in self.versions.values()]:
            raise Refusal(409, f"Already exist error: version {name}")
        specification, *platform = yaml.safe_load_all(part.get_payload(decode=True))
        whole = {"pipeline_spec": specification, "platform_spec": platform[0]} if platform else specification
        _require_parameters(whole, {})
        identifier = f"version-{len(self.versions) + 1}"
        made = {"pipeline_id": pipeline, "pipeline_version_id": identifier, "pipeline_spec": whole}
        self.versions[identifier] = {**made, "name": name, "display_name": query["display_name"][0]}
        return self.versions[identifier]

    def _require_startable(self, asked: dict[str, Any]) -> None:
        """KFP refuses parameters of another type, of a package that is sent or of a version that is named."""
        specification, reference = asked.get("pipeline_spec"), asked.get("pipeline_version_reference")
        if reference:
            found = self.versions.get(reference["pipeline_version_id"])
            if specification or not found or found["pipeline_id"] != reference["pipeline_id"]:
                raise Refusal(400, "a package and a version, or no such version")
            specification = found["pipeline_spec"]
        assert specification
        _require_parameters(specification, asked["runtime_config"]["parameters"])

    def _new_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._require_startable(asked)
        if asked["experiment_id"] not in self.experiments:
            raise Refusal(404, "no such experiment")
        identifier = f"run-{len(self.runs) + 1}"
        made = {**asked, "run_id": identifier, "state": "PENDING", "created_at": datetime.now(UTC).isoformat()}
        self.runs[identifier] = made
        return made

    def _log(self, run_id: str, node_id: str) -> str:
        self._of(run_id)
        if node_id not in self.logs:
            raise Refusal(500, "Failed to read the log: the container is waiting to start")
        return self.logs[node_id]

    def _of(self, run_id: str) -> dict[str, Any]:
        if run_id not in self.runs:
            raise Refusal(404, f"run {run_id} not found")
        return self.runs[run_id]

    def _look(self, run_id: str) -> dict[str, Any]:
        run = self._of(run_id)
        look = self.looks.get(run_id, 0)
        self.looks[run_id] = look + 1
        if self.recorded:
            return {**self.recorded[min(look, len(self.recorded) - 1)], "run_id": run_id}
        if run["state"] != "CANCELED":
            run["state"] = self.states[min(look, len(self.states) - 1)]
        tasks = [{"display_name": "train-npu-seed-0", "state": run["state"]}]
        return {**run, "run_details": {"task_details": tasks}}

    def _new_recurring_run(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._require_startable(asked)
        identifier = f"recurring-{secrets.token_hex(4)}"
        self.recurring_runs[identifier] = {**asked, "recurring_run_id": identifier}
        return self.recurring_runs[identifier]


def _read(body: bytes, model: str) -> dict[str, Any]:
    """A body as its model takes it: Refusal for a field that KFP does not have, or a value of another type."""
    content = json.loads(body)
    known = getattr(kfp_server_api, model)
    unknown = set(content) - set(known.attribute_map.values())
    if unknown:
        raise Refusal(400, f"unknown field {min(unknown)}")
    client = kfp_server_api.ApiClient()
    read = client._ApiClient__deserialize(content, model)
    return dict(client.sanitize_for_serialization(read))


def _require_parameters(specification: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """As KFP's server does: what is not KFP's intermediate representation, or a value of another type, is refused."""
    pipeline = specification.get("pipeline_spec", specification)
    json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())
    if "platform_spec" in specification:
        json_format.ParseDict(specification["platform_spec"], pipeline_spec_pb2.PlatformSpec())
    declared = pipeline["root"]["inputDefinitions"]["parameters"]
    kinds = {"STRING": str, "BOOLEAN": bool, "STRUCT": dict, "NUMBER_INTEGER": int}
    for name, value in parameters.items():
        if name not in declared or not isinstance(value, kinds[declared[name]["parameterType"]]):
            raise Refusal(400, f"input parameter {name} requires type {declared.get(name)}, got {value!r}")


def _page(key: str, found: Mapping[str, Mapping[str, Any]], query: Mapping[str, list[str]]) -> dict[str, Any]:
    """A page of what a query asks for."""
    predicates = json.loads(query["filter"][0])["predicates"] if "filter" in query else []
    names = [predicate.get("stringValue") or predicate.get("string_value") for predicate in predicates]
    wanted = query.get("experiment_id", [None])[0]
    listed = [
        one
        for one in found.values()
        if (not names or one["display_name"] in names) and wanted in (None, one.get("experiment_id"))
    ]
    start, size = (int(query.get(name, [default])[0]) for name, default in (("page_token", "0"), ("page_size", "20")))
    rest = {"next_page_token": str(start + size)} if start + size < len(listed) else {}
    return {key: listed[start : start + size], **rest}


def _handler(server: KfpServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            trouble = server.troubles.pop(0) if server.troubles else None
            answer: Any = {}
            try:
                if trouble:
                    raise Refusal(trouble, "trouble")
                if trouble is None:
                    answer = server.page or server.answer(self.command, self.path, body, self.headers)
                status = 200
            except Refusal as refusal:
                status, answer = refusal.status, {"code": 1, "message": str(refusal)}
            except (json_format.ParseError, KeyError, ValueError) as error:
                status, answer = 400, {"code": 3, "message": f"{error!r}"}
            made = self.command == "POST" and {"run_id", "pipeline_version_id"} & set(answer)
            is_made = made or self.command == "DELETE"
            if trouble == 0 or (server.lost_answers and status == 200 and is_made):
                server.lost_answers -= trouble != 0
                self.close_connection = True
                return
            content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            kind = "text/html" if server.page or content[:6] == b"<html>" else "text/plain"
            self.send_response(status)
            self.send_header("Content-Type", kind if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _serve

    return Handler


@contextmanager
def running_kfp(tls: ssl.SSLContext | None = None) -> Iterator[KfpServer]:
    """The server on a free port of this machine."""
    server = KfpServer()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(server)) as listening:
        listening.daemon_threads = True
        if tls:
            # A client that does not trust the certificate goes away.
            listening.handle_error = lambda *_: None  # type: ignore[method-assign]
            listening.socket = tls.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
        server.url = f"http{'s' if tls else ''}://127.0.0.1:{listening.server_address[1]}"
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            listening.shutdown()
