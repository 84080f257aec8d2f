"""KFP's API: what answers is KFP or an error, and the logs of tasks come from where KFP has them."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from dualgan.errors import DualGANError
from pipelines import kfp_api
from pipelines.kfp_api import LOG_BYTES, KfpApi, Lost, NotKfp, endpoint
from tests.components.dataset.http_server import raw_server
from tests.pipelines.kfp_server import KfpServer

HTML = "<!doctype html><title>Sign in</title>"
CALLS: dict[str, Callable[[KfpApi], Any]] = {
    "new experiment": lambda api: api.new_experiment("e"),
    "find experiment": lambda api: api.find_experiment("e"),
    "run": lambda api: api.run("run-1"),
    "runs": lambda api: api.runs("experiment-1"),
    "recurring run": lambda api: api.recurring_run("experiment-1", "name"),
}


@pytest.fixture
def api(kfp: KfpServer) -> KfpApi:
    return KfpApi(endpoint(kfp.url, None, retries=0))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("page", [HTML, '"text"', "[]"])
def test_an_answer_that_is_not_kfps_is_an_error(
    kfp: KfpServer, api: KfpApi, page: str, call: Callable[[KfpApi], Any]
) -> None:
    kfp.page = page
    with pytest.raises(NotKfp, match="is not KFP's API, it answers with text/html"):
        call(api)


@pytest.mark.parametrize("call", [CALLS["new experiment"], CALLS["run"]])
def test_an_object_of_another_program_is_an_error(kfp: KfpServer, api: KfpApi, call: Callable[[KfpApi], Any]) -> None:
    kfp.page = '{"status": "ok"}'
    with pytest.raises(NotKfp, match=r"has no (experiment_id|run_id)"):
        call(api)


def test_a_log_is_read_as_text_and_its_end_is_kept(kfp: KfpServer, api: KfpApi) -> None:
    kfp.runs["run-1"] = {}
    kfp.logs = {"wf-1": "first\nläst\n", "wf-2": "x" * 2 * LOG_BYTES + "end"}
    assert api.task_log("run-1", "wf-1") == "first\nläst\n"
    long = api.task_log("run-1", "wf-2")
    assert len(long) == LOG_BYTES and long.endswith("xend")


def test_the_pages_of_kfp_have_no_logs_and_that_is_said(kfp: KfpServer, api: KfpApi) -> None:
    kfp.page = HTML
    with pytest.raises(NotKfp, match="logs are at KFP's API server, ml-pipeline:8888"):
        api.task_log("run-1", "wf-1")


def test_a_login_in_the_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    api = KfpApi(endpoint("http://me:secret@127.0.0.1:9", None, retries=0))
    with pytest.raises(DualGANError) as raised:
        api.run("run-1")
    assert "127.0.0.1:9" in str(raised.value) and "secret" not in str(raised.value)


def test_a_login_in_the_address_reaches_what_stands_before_kfp(kfp: KfpServer) -> None:
    api = KfpApi(endpoint(kfp.url.replace("http://", "http://me:secret@"), None, retries=0))
    assert api.new_experiment("e")
    assert api._client.default_headers["Authorization"] == "Basic bWU6c2VjcmV0"
    kfp.page = HTML
    with pytest.raises(NotKfp) as raised:
        api.run("run-1")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("call", ["run", "log"])
@pytest.mark.parametrize("kind", ["trailers", "drip"])
def test_an_answer_that_never_ends_is_given_up(kind: str, call: str) -> None:
    start, again = {
        "trailers": (b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X-A: b\r\n"),
        "drip": (b"Content-Length: 100000\r\n\r\n", b" "),
    }[kind]
    with raw_server(b"HTTP/1.1 200 OK\r\n" + start, again, 0.05) as url:
        api = KfpApi(endpoint(url, None, retries=0, timeout=0.5))
        began = time.monotonic()
        with pytest.raises(Lost, match="no whole answer came within"):
            api.run("run-1") if call == "run" else api.task_log("run-1", "wf-1")
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
@pytest.mark.parametrize("call", ["run", "log"])
def test_an_answer_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch, status: str, call: str) -> None:
    monkeypatch.setattr(kfp_api, "MAX_ANSWER", 1 << 20)
    with raw_server(f"HTTP/1.1 {status}\r\n\r\n".encode(), b" " * (1 << 16), 0) as url:
        api = KfpApi(endpoint(url, None, retries=0))
        with pytest.raises(NotKfp, match="it answers with over"):
            api.run("run-1") if call == "run" else api.task_log("run-1", "wf-1")
