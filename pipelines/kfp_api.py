"""KFP's API as a submitter needs it: each call survives the server's hiccups, and each failure is one line."""

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar
from urllib.parse import quote

import kfp_server_api
import requests
import urllib3

from components.common.threads import within
from dualgan.errors import BadInput, DualGANError
from dualgan.json_files import parse_json
from pipelines.kfp_endpoint import CA_VARIABLES, COOKIES_VARIABLE, TOKEN_VARIABLE, Endpoint

API = "apis/v2beta1"
PASSING = (408, 429, 500, 502, 503, 504)
CONFLICT = 409
MAX_DELAY = 30.0
# What is kept of a task's log: its end, of a training of days as well.
LOG_BYTES = 1 << 20
# Of an answer, and of a log, which is read from its beginning; a log may take longer than what KFP itself says.
MAX_ANSWER, CHUNK = 64 << 20, 1 << 16
LOG_PATIENCE = 4
PAGE_SIZE, MAX_PAGES = 100, 1000
# What has the id of an entry of a list, by the list's name in an answer.
IDS = {
    "experiments": "experiment_id",
    "runs": "run_id",
    "recurringRuns": "recurring_run_id",
    "pipelines": "pipeline_id",
    "pipeline_versions": "pipeline_version_id",
}
Result = TypeVar("Result")
Query = Mapping[str, str | None] | None
Again = Callable[[], dict[str, Any] | None] | None


class AlreadyThere(DualGANError):
    """Something of that name exists."""


class NotThere(BadInput):
    """Nothing is at that path."""


class Unreachable(DualGANError):
    """The server did not answer, or not sensibly, for longer than the patience."""


class NotKfp(BadInput):
    """Something else than KFP's API answered, such as the page of a login or of another program."""


@dataclass
class KfpApi:
    """The calls; what they return is JSON as KFP's API describes it, but for ``run``.

    Each raises BadInput for an endpoint or credentials that are wrong (NotKfp if another program answers), Unreachable
    for a server that stays away.
    """

    at: Endpoint
    _opened: Any = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._session, self._models = self.at.session(), kfp_server_api.ApiClient()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def has_many_users(self) -> bool:
        """Whether runs are executed in namespaces of their users."""
        return bool(self._call("GET", f"{API}/healthz").get("multi_user"))

    def experiment(self, name: str) -> str:
        """Return the id of the experiment of that name, created if it is missing."""
        try:
            return self.new_experiment(name)
        except AlreadyThere:
            return str(self.find_experiment(name)["experiment_id"])

    def new_experiment(self, name: str, description: str = "") -> str:
        """Return the id of a new experiment. Raises AlreadyThere if its name is taken: one of many callers gets it."""
        content = {"display_name": name, "description": description, "namespace": self.at.namespace}
        return self._id(self._call("POST", f"{API}/experiments", content), "experiment_id")

    def find_experiment(self, name: str) -> dict[str, Any]:
        """Return the experiment called ``name``. Raises DualGANError if none is listed."""
        for found in self._named("experiments", "experiments", name):
            return found
        raise DualGANError(f"{self.at.url}: experiment {name} is there, yet not listed; is it archived?")

    def submit(self, run: Mapping[str, Any]) -> str:
        """Return the id of the new run. A try whose answer was lost may have made one: then that one is taken."""

        def earlier() -> dict[str, Any] | None:
            return next((one for one in self.runs(run["experiment_id"]) if _name(one) == _name(run)), None)

        return self._id(self._call("POST", f"{API}/runs", run, again=earlier), "run_id")

    def run(self, run_id: str) -> Any:
        """Return a run as kfp_server_api's V2beta1Run."""
        content = self._call("GET", f"{API}/runs/{quote(run_id)}")
        self._id(content, "run_id")
        try:
            return self._models.deserialize(SimpleNamespace(data=json.dumps(content)), "V2beta1Run")
        except (kfp_server_api.ApiException, ValueError, TypeError, AttributeError) as error:
            raise self._not_kfp(str(error)) from None

    def runs(self, experiment_id: str = "") -> Iterator[dict[str, Any]]:
        """The runs of an experiment, or all that the namespace has, the newest first."""
        return self._list("runs", "runs", experiment_id=experiment_id, sort_by="created_at desc")

    def cancel(self, run_id: str) -> None:
        self._call("POST", f"{API}/runs/{quote(run_id)}:terminate")

    def task_log(self, run_id: str, node_id: str) -> str:
        """The end of a task's log, at most LOG_BYTES of it, from its pod or, if that is gone, from KFP's archive.

        node_id: Argo's name of the try. Raises DualGANError if there is none, e.g. as its container has not started.
        """
        path = f"apis/v1alpha1/runs/{quote(run_id)}/nodes/{quote(node_id)}/log"
        kind, content = self._retried(lambda: self._answer(LOG_PATIENCE, "GET", path))
        if kind == "text/html":
            raise NotKfp(f"{self.at.url}: logs are at KFP's API server, ml-pipeline:8888, not behind its pages")
        return content[-LOG_BYTES:].decode("utf-8", "replace")

    def task_log_address(self, run_id: str, node_id: str) -> str:
        """The address at which ``task_log`` reads, for a person to go on there."""
        return f"{self.at.url}/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log"

    def recurring_runs(self, experiment_id: str, name: str) -> list[dict[str, Any]]:
        """The recurring runs of that name."""
        return list(self._named("recurringruns", "recurringRuns", name, experiment_id=experiment_id))

    def schedule(self, recurring: Mapping[str, Any], replaced: Sequence[str] = ()) -> str:
        """Return the id of a new recurring run; ``replaced`` are ids of others, which are deleted once it is there."""

        def earlier() -> dict[str, Any] | None:
            found = self.recurring_runs(recurring["experiment_id"], _name(recurring))
            return next((one for one in found if one["recurring_run_id"] not in replaced), None)

        made = self._id(self._call("POST", f"{API}/recurringruns", recurring, again=earlier), "recurring_run_id")
        for identifier in replaced:
            # A try whose answer was lost may have deleted it.
            with contextlib.suppress(NotThere):
                self._call("DELETE", f"{API}/recurringruns/{quote(identifier)}")
        return made

    def upload(self, pipeline: str, version: str, package: str) -> dict[str, str]:
        """Return a reference to that version of a pipeline; one that is not there is made, of a package as YAML."""
        path = f"{API}/pipelines"

        def known() -> dict[str, Any] | None:
            return next(self._named("pipelines", "pipelines", pipeline), None)

        names = {"name": pipeline, "display_name": pipeline, "namespace": self.at.namespace}
        parent = self._id(self._once(known, path, names), "pipeline_id")

        def uploaded() -> dict[str, Any] | None:
            # A pipeline's versions are in its own namespace, which KFP does not want to be told.
            versions = f"pipelines/{quote(parent)}/versions"
            return next(self._named(versions, "pipeline_versions", version, namespace=None), None)

        query = {"name": version, "display_name": version, "pipelineid": parent}
        made = self._once(uploaded, f"{path}/upload_version", package.encode(), query)
        return {"pipeline_id": parent, "pipeline_version_id": self._id(made, "pipeline_version_id")}

    def _once(
        self, known: Callable[[], dict[str, Any] | None], path: str, body: Any, query: Query = None
    ) -> dict[str, Any]:
        """What is known, else what is made of ``body``, by this call or by another one at the same time."""
        found = known()
        try:
            return found or self._call("POST", path, body, query, again=known)
        except AlreadyThere:
            found = known()
            if found is None:
                raise
            return found

    def _named(self, path: str, key: str, name: str, **query: str | None) -> Iterator[dict[str, Any]]:
        # 1 is "equals".
        wanted = {"predicates": [{"operation": 1, "key": "display_name", "stringValue": name}]}
        found = self._list(path, key, filter=json.dumps(wanted), **query)
        return (one for one in found if _name(one) == name)

    def _list(self, path: str, key: str, **query: str | None) -> Iterator[dict[str, Any]]:
        """Everything of a list, page by page."""
        page = ""
        for _ in range(MAX_PAGES):
            asked = {"namespace": self.at.namespace, **query, "page_size": str(PAGE_SIZE), "page_token": page}
            answer = self._call("GET", f"{API}/{path}", query=asked)
            found = answer.get(key) or []
            if not (isinstance(found, list) and all(isinstance(one, dict) and one.get(IDS[key]) for one in found)):
                raise self._not_kfp(f"its list of {path} holds something else")
            yield from found
            before, page = page, answer.get("next_page_token") or ""
            if page in ("", before):
                return
        raise self._not_kfp(f"its list of {path} never ends")

    def _id(self, answer: Mapping[str, Any], name: str) -> str:
        """The id in an answer, without which it is not KFP's."""
        if not answer.get(name):
            raise self._not_kfp(f"its answer has no {name}; is the address right?")
        return str(answer[name])

    def _call(
        self, method: str, path: str, body: Any = None, query: Query = None, again: Again = None
    ) -> dict[str, Any]:
        """The object with which the server answers. ``again`` looks, after a try that was lost, for what it made."""

        def ask() -> dict[str, Any]:
            kind, content = self._answer(1, method, path, query, body)
            with contextlib.suppress(ValueError):
                if isinstance(answer := parse_json(content, "answer"), dict):
                    return answer
            login = f"does a login stand before it ({TOKEN_VARIABLE}, {COOKIES_VARIABLE}, --header)"
            raise self._not_kfp(f"it answers with {kind or 'something'}; is the address right, and {login}?")

        return self._retried(ask, again)

    def _retried(self, ask: Callable[[], Result], again: Callable[[], Result | None] | None = None) -> Result:
        for attempt in range(self.at.retries + 1):
            if again is not None and attempt and (made := again()) is not None:
                return made
            try:
                return ask()
            except (Unreachable, requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                reason = str(error) if isinstance(error, Unreachable) else f"no answer ({_root(error)})"
            if attempt < self.at.retries:
                delay = min(MAX_DELAY, 2.0**attempt)
                self.sleep(delay * random.uniform(0.8, 1.2))
        raise Unreachable(
            f"{self.at.url}: {reason}; tried {self.at.retries + 1} times, is the address right and KFP up?"
        )

    def _answer(self, patience: int, *request: Any) -> tuple[str, bytes]:
        """The type and content that the server answers, within ``patience`` times the timeout."""
        try:
            response, content = within(patience * self.at.timeout, lambda: self._ask(*request), self._cut_off)
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE" not in str(error).upper():
                raise
            hint = f"if it is your company's own: --ca-file, or {' or '.join(CA_VARIABLES)}"
            raise BadInput(f"{self.at.url}: its certificate is not trusted; {hint}") from None
        if 200 <= response.status_code < 300:
            return response.headers.get("Content-Type", "").partition(";")[0], content
        raise self._refused(response.status_code, _said(content) or response.reason or "")

    def _ask(self, method: str, path: str, query: Query = None, body: Any = None) -> tuple[requests.Response, bytes]:
        is_file = isinstance(body, bytes)
        with self._session.request(
            method,
            f"{self.at.url.without_login.reveal()}/{path}",
            params=query,
            json=None if is_file else body,
            files={"uploadfile": ("package.yaml", body, "application/yaml")} if is_file else None,
            timeout=self.at.timeout,
            verify=self.at.ca_file or True,
            # Elsewhere is a login, which is not to get ours.
            allow_redirects=False,
            stream=True,
        ) as response:
            self._opened = response.raw
            content = bytearray()
            for piece in response.iter_content(CHUNK):
                content += piece
                if len(content) > MAX_ANSWER:
                    raise self._not_kfp("it answers with over 64 MiB")
            return response, bytes(content)

    def _cut_off(self) -> None:
        """End the newest request, whose answer never ends."""
        if self._opened is not None:
            self._opened.shutdown()

    def _refused(self, status: int, said: str) -> DualGANError:
        if status in PASSING:
            return Unreachable(f"answers {status} {said}".strip())
        if status in (401, 403):
            return BadInput(f"{self.at.url}: no permission ({status} {said}); is the token expired or missing?")
        if status == CONFLICT:
            return AlreadyThere(f"{self.at.url}: {said}")
        if status == 404:
            return NotThere(f"{self.at.url}: not found ({said}); is this the address of KFP's API?")
        if 300 <= status < 400:
            login = f"is it a login's ({COOKIES_VARIABLE}, --header), or is the address another"
            return self._not_kfp(f"it sends elsewhere ({status}); {login}?")
        return BadInput(f"{self.at.url}: refused with {status} {said}")

    def _not_kfp(self, reason: str) -> NotKfp:
        return NotKfp(f"{self.at.url}: that is not KFP's API, {reason}")


def _name(one: Mapping[str, Any]) -> Any:
    return one.get("display_name")


def _said(content: bytes) -> str:
    """What a refusal says of itself, in one line."""
    try:
        found = parse_json(content, "answer")
    except ValueError:
        return ""
    said = found.get("message") or found.get("error") if isinstance(found, dict) else None
    return " ".join(str(said or "").split())[:300]


def _root(error: BaseException) -> str:
    reason = error.args[0] if isinstance(error, requests.RequestException) and error.args else error
    reason = getattr(reason, "reason", None) or reason
    return " ".join(str(reason).rpartition(": ")[2].split()) or type(error).__name__
