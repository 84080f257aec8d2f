"""KFP's API as a submitter needs it: each call survives the server's hiccups, and each failure is one line.

Addresses and credentials come from where KFP's own command line takes them: KFP_ENDPOINT (or KF_PIPELINES_ENDPOINT),
KFP_NAMESPACE, KFP_EXISTING_TOKEN, and KF_PIPELINES_SA_TOKEN_PATH for a pod's token, which is read anew for each call.
"""

import functools
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import kfp_server_api
import urllib3

from components.common.address import Address
from components.common.threads import within
from dualgan.errors import BadInput, DualGANError

ENDPOINT_VARIABLES = ("KFP_ENDPOINT", "KF_PIPELINES_ENDPOINT")
NAMESPACE_VARIABLE, TOKEN_VARIABLE, TOKEN_FILE_VARIABLE = (
    "KFP_NAMESPACE",
    "KFP_EXISTING_TOKEN",
    "KF_PIPELINES_SA_TOKEN_PATH",
)
DEFAULT_NAMESPACE = "kubeflow"
PASSING = (408, 429, 500, 502, 503, 504)
CONFLICT = 409
EQUALS, IN_ORDER = 1, "created_at desc"
MAX_DELAY = 30.0
# What is kept of a task's log: its end, of a training of days as well.
LOG_BYTES = 1 << 20
# Of an answer, and of a log, which is read from its beginning; a log may take longer than what KFP itself says.
MAX_ANSWER, CHUNK = 64 << 20, 1 << 16
LOG_PATIENCE = 4


class AlreadyThere(DualGANError):
    """Something of that name exists."""


class Lost(DualGANError):
    """The server did not answer, or not sensibly, for longer than the patience."""


class NotKfp(BadInput):
    """Something else than KFP's API answered, such as the page of a login or of another program."""


class _JsonClient(kfp_server_api.ApiClient):  # type: ignore[misc]
    """KFP's client, which by itself makes an empty object of whatever is no JSON, and reads what never ends."""

    def __init__(self, configuration: Any) -> None:
        super().__init__(configuration)
        self._opened: Any = None
        self._request = self.rest_client.pool_manager.request
        self.rest_client.pool_manager.request = self._bounded_request

    def _bounded_request(self, method: str, url: str, preload_content: bool = True, **asked: Any) -> Any:
        self._opened = answer = self._request(method, url, preload_content=False, **asked)
        if preload_content or not 200 <= answer.status < 300:
            answer._body = b"".join(self.pieces(answer))
        return answer

    def pieces(self, answer: Any) -> Iterator[bytes]:
        """Yield what an answer holds. Raises NotKfp if that is more than MAX_ANSWER."""
        size = 0
        for piece in answer.stream(CHUNK):
            size += len(piece)
            if size > MAX_ANSWER:
                answer.close()
                raise NotKfp(f"{self.configuration.host}: that is not KFP's API, it answers with over 64 MiB")
            yield piece

    def cut_off(self) -> None:
        """End the newest request, whose answer never ends."""
        if self._opened is not None:
            self._opened.shutdown()

    def deserialize(self, response: Any, response_type: Any) -> Any:
        try:
            content = json.loads(response.data)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            kind = (response.getheader("Content-Type") or "something").partition(";")[0]
            raise NotKfp(
                f"{self.configuration.host}: that is not KFP's API, it answers with {kind}; is the address right, "
                f"and does a login stand before it ({TOKEN_VARIABLE})?"
            )
        return super().deserialize(response, response_type)


@dataclass(frozen=True)
class Endpoint:
    """Where KFP's API is. ``namespace`` is that of a KFP with many users, "" for one without.

    retries: further tries of a call; first_delay: seconds before the first of them, doubled for each further one.
    """

    url: Address
    namespace: str = ""
    token: str | None = None
    token_file: Path | None = None
    retries: int = 3
    first_delay: float = 1.0
    timeout: float = 30.0

    @property
    def label(self) -> str:
        """The address as it may be shown."""
        return str(self.url)


def endpoint(url: str | None, namespace: str | None, **patience: Any) -> Endpoint:
    """Return the endpoint that flags and environment name. Raises BadInput if it is missing or no address."""
    found = url or next(filter(None, (os.environ.get(name) for name in ENDPOINT_VARIABLES)), None)
    if not found:
        raise BadInput("no address of KFP's API: give --endpoint, or set KFP_ENDPOINT")
    address = found.rstrip("/") if "://" in found else f"https://{found.rstrip('/')}"
    try:
        parts = urlsplit(address)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise BadInput(f"--endpoint {Address(found)}: no address such as http://localhost:8080")
    space = namespace if namespace is not None else os.environ.get(NAMESPACE_VARIABLE, "")
    token_file = os.environ.get(TOKEN_FILE_VARIABLE)
    return Endpoint(
        Address(address),
        # KFP's command line takes this name to mean a KFP without users, and so do we.
        "" if space == DEFAULT_NAMESPACE else space,
        os.environ.get(TOKEN_VARIABLE) or None,
        Path(token_file) if token_file else None,
        **patience,
    )


@dataclass
class KfpApi:
    """The calls. Raises BadInput for an endpoint or credentials that are wrong (NotKfp if another program answers),
    Lost for a server that stays away."""

    at: Endpoint
    _client: Any = field(init=False)

    def __post_init__(self) -> None:
        configuration = kfp_server_api.Configuration(host=self.at.url.without_login.reveal())
        configuration.retries = urllib3.Retry(0, redirect=3)
        configuration.api_key_prefix["authorization"] = "Bearer"
        configuration.client_side_validation = True
        self._client = _JsonClient(configuration)
        url = self.at.url
        if url.password and not (self.at.token or self.at.token_file):
            # For what stands before KFP.
            login = urllib3.make_headers(basic_auth=f"{url.username}:{url.password}")
            self._client.set_default_header("Authorization", login["authorization"])

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def has_many_users(self) -> bool:
        """Whether runs are executed in namespaces of their users."""
        return bool(self._call(kfp_server_api.HealthzServiceApi(self._client).healthz_service_get_healthz).multi_user)

    def experiment(self, name: str) -> str:
        """Return the id of the experiment called ``name``, created if it is missing."""
        try:
            return self.new_experiment(name)
        except AlreadyThere:
            found = self.find_experiment(name)
            if found is None:
                raise DualGANError(f"{self.at.label}: experiment {name} is there, yet not listed") from None
            return str(found.experiment_id)

    def new_experiment(self, name: str, description: str = "") -> str:
        """Return the id of a new experiment. Raises AlreadyThere if its name is taken: one of many callers gets it."""
        service = kfp_server_api.ExperimentServiceApi(self._client)
        body = kfp_server_api.V2beta1Experiment(
            display_name=name, description=description or None, namespace=self.at.namespace
        )
        return self._id(self._call(service.experiment_service_create_experiment, body), "experiment_id")

    def find_experiment(self, name: str) -> Any | None:
        service = kfp_server_api.ExperimentServiceApi(self._client)
        answer = self._call(
            service.experiment_service_list_experiments, filter=_named(name), namespace=self.at.namespace
        )
        return next((one for one in answer.experiments or () if one.display_name == name), None)

    def submit(self, run: Any) -> str:
        """The id of the new run. A try whose answer was lost may have made one: then that one is taken."""
        service = kfp_server_api.RunServiceApi(self._client)

        def create() -> Any:
            return service.run_service_create_run(run, _request_timeout=self.at.timeout)

        def earlier() -> Any | None:
            return next((one for one in self.runs(run.experiment_id) if one.display_name == run.display_name), None)

        return self._id(self._call(create, again=earlier), "run_id")

    def run(self, run_id: str) -> Any:
        run = self._call(kfp_server_api.RunServiceApi(self._client).run_service_get_run, run_id)
        self._id(run, "run_id")
        return run

    def task_log(self, run_id: str, node_id: str) -> str:
        """The end of a task's log, at most LOG_BYTES of it, from its pod or, if that is gone, from KFP's archive.

        Args:
            run_id: KFP's run.
            node_id: Argo's name of the try, as it stands in ``child_tasks`` of a row called ``executor``.

        Raises:
            DualGANError: It cannot be had, e.g. as its container has not started.
        """

        def read(_request_timeout: float) -> str:
            answer = self._client.call_api(
                f"/apis/v1alpha1/runs/{quote(run_id)}/nodes/{quote(node_id)}/log",
                "GET",
                auth_settings=["Bearer"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=_request_timeout,
            )
            if answer.headers.get("content-type", "").startswith("text/html"):
                raise NotKfp(f"{self.at.label}: logs are at KFP's API server, ml-pipeline:8888, not behind its pages")
            end = b""
            for piece in self._client.pieces(answer):
                end += piece
                if len(end) > 2 * LOG_BYTES:
                    end = end[-LOG_BYTES:]
            end = end[-LOG_BYTES:]
            return end.decode("utf-8", "replace")

        return str(self._call(read, patience=LOG_PATIENCE))

    def task_log_address(self, run_id: str, node_id: str) -> str:
        """The address at which ``task_log`` reads, for a person to go on there."""
        return f"{self.at.label}/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log"

    def runs(self, experiment_id: str) -> list[Any]:
        """The runs of an experiment, the newest first."""
        service = kfp_server_api.RunServiceApi(self._client)
        answer = self._call(
            service.run_service_list_runs,
            experiment_id=experiment_id,
            namespace=self.at.namespace,
            page_size=100,
            sort_by=IN_ORDER,
        )
        return list(answer.runs or ())

    def cancel(self, run_id: str) -> None:
        self._call(kfp_server_api.RunServiceApi(self._client).run_service_terminate_run, run_id)

    def recurring_run(self, experiment_id: str, name: str) -> Any | None:
        """Return the recurring run of that name, None if there is none."""
        answer = self._call(
            kfp_server_api.RecurringRunServiceApi(self._client).recurring_run_service_list_recurring_runs,
            experiment_id=experiment_id,
            namespace=self.at.namespace,
            page_size=100,
        )
        return next((one for one in answer.recurring_runs or () if one.display_name == name), None)

    def schedule(self, recurring: Any) -> str:
        """The id of a new recurring run."""
        service = kfp_server_api.RecurringRunServiceApi(self._client)

        def create() -> Any:
            return service.recurring_run_service_create_recurring_run(recurring, _request_timeout=self.at.timeout)

        def earlier() -> Any | None:
            return self.recurring_run(recurring.experiment_id, recurring.display_name)

        return self._id(self._call(create, again=earlier), "recurring_run_id")

    def _id(self, answer: Any, name: str) -> str:
        """The id in an answer, without which it is not KFP's."""
        found = getattr(answer, name)
        if not found:
            raise NotKfp(f"{self.at.label}: that is not KFP's API, its answer has no {name}; is the address right?")
        return str(found)

    def _call(
        self, function: Callable[..., Any], *arguments: Any, again: Any = None, patience: int = 1, **named: Any
    ) -> Any:
        """What the server answers, within ``patience`` times the timeout for each try.

        ``again`` looks, after a try that was lost, for what it made all the same.
        """
        ask = functools.partial(function, *arguments, **named)
        if again is None:
            ask.keywords["_request_timeout"] = self.at.timeout
        for attempt in range(self.at.retries + 1):
            self._authorize()
            try:
                done = again() if again is not None and attempt else None
                return done if done is not None else within(patience * self.at.timeout, ask, self._client.cut_off)
            except kfp_server_api.ApiException as error:
                if error.status not in PASSING:
                    raise self._refused(error) from None
                reason = f"answers {error.status} {_said(error)}".strip()
            except (urllib3.exceptions.HTTPError, OSError) as error:
                reason = f"no answer ({_root(error)})"
            except (ValueError, TypeError) as error:
                raise NotKfp(f"{self.at.label}: that is not KFP's API: {error}") from None
            if attempt < self.at.retries:
                delay = min(MAX_DELAY, self.at.first_delay * 2**attempt)
                self.sleep(delay * random.uniform(0.8, 1.2))
        raise Lost(f"{self.at.label}: {reason}; tried {self.at.retries + 1} times, is the address right and KFP up?")

    def _authorize(self) -> None:
        token = self.at.token
        if token is None and self.at.token_file is not None:
            try:
                token = self.at.token_file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise BadInput(f"{TOKEN_FILE_VARIABLE}: {error}") from None
        if token:
            self._client.configuration.api_key["authorization"] = token

    def _refused(self, error: Any) -> DualGANError:
        said = _said(error)
        if error.status in (401, 403):
            return BadInput(f"{self.at.label}: no permission ({error.status} {said}); is the token expired or missing?")
        if error.status == CONFLICT:
            return AlreadyThere(f"{self.at.label}: {said}")
        if error.status == 404:
            return BadInput(f"{self.at.label}: not found ({said}); is this the address of KFP's API?")
        return BadInput(f"{self.at.label}: refused with {error.status} {said}")


def _named(name: str) -> str:
    return json.dumps({"predicates": [{"operation": EQUALS, "key": "display_name", "stringValue": name}]})


def _said(error: Any) -> str:
    """What a refusal says of itself, in one line."""
    try:
        content = json.loads(error.body or "")
    except (ValueError, TypeError):
        content = {}
    said = content.get("message") or content.get("error") if isinstance(content, Mapping) else None
    return " ".join(str(said or error.reason or "").split())[:300]


def _root(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).rpartition(": ")[2].split()) or type(error).__name__
