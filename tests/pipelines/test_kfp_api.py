"""KFP's API: what answers is KFP or an error, whatever stands before it, and logs come from where they are."""

import os
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dualgan.errors import BadInput, DualGANError
from pipelines import kfp_api
from pipelines.kfp_api import LOG_BYTES, KfpApi, NotKfp, Unreachable
from pipelines.kfp_endpoint import endpoint
from tests.components.dataset.http_server import raw_server
from tests.pipelines.doctor.fake_kubernetes import FakeKubernetes
from tests.pipelines.kfp_server import KfpServer, running_kfp
from tests.pipelines.login_proxy import login_proxy
from tests.pipelines.test_retrain import retrain
from tests.pipelines.test_submit import QUICK, SCHEDULE

Command = Callable[..., tuple[int, str, str]]
HTML = "<!doctype html><title>Sign in</title>"
CALLS: dict[str, Callable[[KfpApi], Any]] = {
    "new experiment": lambda api: api.new_experiment("e"),
    "find experiment": lambda api: api.find_experiment("e"),
    "run": lambda api: api.run("run-1"),
    "runs": lambda api: list(api.runs("experiment-1")),
    "recurring run": lambda api: api.recurring_runs("experiment-1", "name"),
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


@pytest.mark.parametrize("page", ['{"%s": ["x"]}', '{"%s": {"x": 1}}', '{"%s": [{"display_name": "e"}]}'])
@pytest.mark.parametrize(
    ("key", "call"), [("experiments", "find experiment"), ("runs", "runs"), ("recurringRuns", "recurring run")]
)
def test_a_list_of_something_else_is_an_error(kfp: KfpServer, api: KfpApi, page: str, key: str, call: str) -> None:
    kfp.page = page % key
    with pytest.raises(NotKfp, match=f"its list of {key.lower()} holds something else"):
        CALLS[call](api)


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


def test_a_login_in_the_address_reaches_what_stands_before_kfp_and_is_not_shown(
    kfp: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kfp, "answer", lambda *call: {"run_id": "r", "display_name": call[-1]["authorization"]})
    api = KfpApi(endpoint(kfp.url.replace("http://", "http://me:secret@"), None, retries=0))
    assert api.run("r").display_name == "Basic bWU6c2VjcmV0"
    kfp.page = HTML
    with pytest.raises(NotKfp) as raised:
        api.run("run-1")
    assert "secret" not in str(raised.value)
    with pytest.raises(DualGANError) as raised_too:
        KfpApi(endpoint("http://me:secret@127.0.0.1:9", None, retries=0)).run("run-1")
    assert "127.0.0.1:9" in str(raised_too.value) and "secret" not in str(raised_too.value)


def test_a_stale_token_is_told_and_each_call_has_the_newest_of_a_pod(
    kfp: KfpServer, api: KfpApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kfp.token, file = "fresh", tmp_path / "token"
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(file))
    file.write_text("stale")
    with pytest.raises(BadInput, match="token expired"):
        api.has_many_users()
    file.write_text("fresh\n")
    assert api.has_many_users() is False
    monkeypatch.setenv("KFP_EXISTING_TOKEN", "stale")
    with pytest.raises(BadInput, match="token expired"):
        api.has_many_users()


@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_token_may_end_with_a_line_and_one_that_http_cannot_send_is_not_shown(
    kfp: KfpServer, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    kfp.token, file = "fresh", tmp_path / "token"

    def submitted(token: bytes) -> tuple[int, str, str]:
        file.write_bytes(token)
        if place == "environment":
            monkeypatch.setenv("KFP_EXISTING_TOKEN", os.fsdecode(token))
        else:
            monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(file))
        return command("submit", *QUICK, "--no-wait")

    assert submitted(b"fresh\r\n")[0] == 0
    for wrong in (b"hush\nhush", "hüsh".encode(), b"hush\xff"):
        code, _, errors = submitted(wrong)
        assert (code, len(errors.splitlines())) == (2, 1)
        assert "KFP_EXISTING_TOKEN, KF_PIPELINES_SA_TOKEN_PATH: a token must be printable ASCII" in errors
        assert "hush" not in errors and "hüsh" not in errors


def test_a_proxy_of_the_environment_is_used_unless_it_is_excepted(
    kfp: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = KfpApi(endpoint("http://kfp.invalid", None, retries=0))
    monkeypatch.setenv("http_proxy", kfp.url)
    assert api.has_many_users() is False and kfp.requests == ["GET /apis/v2beta1/healthz"]
    monkeypatch.setenv("no_proxy", "kfp.invalid")
    with pytest.raises(Unreachable, match="no answer"):
        api.has_many_users()


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of a private authority, beside that of this machine and its key, server.pem."""
    folder = tmp_path_factory.mktemp("ca")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    of_ca = ["-subj", "/CN=company", "-keyout", "ca.key", "-out", "ca.pem"]
    of_server = ["-subj", "/CN=kfp", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"]
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "server.pem", "-out", "server.crt"]
    for words in (of_ca, [*of_server, *signed]):
        subprocess.run([*make, *words], cwd=folder, check=True, capture_output=True, timeout=60)
    with (folder / "server.pem").open("a") as file:
        file.write((folder / "server.crt").read_text())
    return folder / "ca.pem"


@pytest.fixture(params=["stand-in", pytest.param("nginx", marks=pytest.mark.system("nginx"))])
def front(request: pytest.FixtureRequest, ca: Path, kfp: KfpServer, tmp_path: Path) -> Iterator[tuple[KfpServer, str]]:
    """KFP behind TLS of a private authority, a login's cookie and a path; and its address."""
    certificate = ca.with_name("server.pem")
    if request.param == "nginx":
        with login_proxy(kfp.url, certificate, "hush", tmp_path) as address:
            yield kfp, f"{address}/pipeline/"
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with running_kfp(context) as server:
        server.cookie, server.prefix = "session=hush", "/pipeline"
        yield server, f"{server.url}/pipeline/"


@pytest.mark.parametrize("way", ["options", pytest.param("environment", marks=pytest.mark.system)])
@pytest.mark.parametrize(
    "call",
    [("submit", *QUICK), retrain("--wait", "--poll", "0"), SCHEDULE, ("doctor", "--cluster")],
    ids=["submit", "retrain", "schedule", "doctor"],
)
def test_every_command_goes_through_tls_of_a_private_authority_and_a_login(
    front: tuple[KfpServer, str],
    ca: Path,
    cluster: FakeKubernetes,
    tracked: str,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    call: tuple[str, ...],
    way: str,
) -> None:
    server, address = front
    monkeypatch.setenv("KFP_ENDPOINT", address)
    where, fails = ("out", 1) if call[0] == "doctor" else ("err", 2)

    def said(*options: str) -> str:
        code, out, err = command(*call, *options)
        assert code == fails and (where == "out" or len(err.splitlines()) == 1)
        assert "hush" not in out + err
        return out + err

    assert "its certificate is not trusted; if it is your company's own: --ca-file" in said()
    assert "that is not KFP's API" in (refused := said("--ca-file", str(ca))) and "KFP_COOKIES" in refused
    assert not server.runs and not server.recurring_runs
    if way == "options":
        answer = command(*call, "--ca-file", ca, "--header", "Cookie=session=hush")
    else:
        monkeypatch.setenv("SSL_CERT_FILE", str(ca))
        monkeypatch.setenv("KFP_COOKIES", "session=hush")
        answer = command(*call)
    # A run that succeeds here has no verdict.
    expected = 1 if call[0] in ("submit", "retrain") else 0
    assert answer[0] == expected, answer
    assert expected == 0 or "succeeded; its verdict is not known" in answer[2]


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
        with pytest.raises(Unreachable, match="no whole answer came within"):
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
