"""What the workflows do beyond calling programs of this repository; zizmor looks at the rest in `make check`."""

import os
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.manifests.rendered import ROOT

RETRAIN = yaml.safe_load((ROOT / ".github/workflows/retrain.yaml").read_text())["jobs"]["retrain"]


class _Tokens(BaseHTTPRequestHandler):
    """GitHub's service of tokens for a job."""

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        known = self.headers["Authorization"] == "bearer request-token" and asked["api-version"] == ["2.0"]
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(f'{{"value": "token for {asked["audience"][0]}"}}'.encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.mark.skipif(not (shutil.which("jq") and shutil.which("curl")), reason="needs jq and curl, as a runner has them")
@pytest.mark.parametrize("request_token", ["request-token", "another"])
def test_a_job_logs_in_with_its_own_token(request_token: str, tmp_path: Path) -> None:
    (step,) = [step for step in RETRAIN["steps"] if "own token" in step.get("name", "")]
    with HTTPServer(("127.0.0.1", 0), _Tokens) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        variables = {
            "PATH": os.environ["PATH"],
            "no_proxy": "127.0.0.1",
            "AUDIENCE": "https://kfp.my-company.net/?x=1",
            "RUNNER_TEMP": str(tmp_path),
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": request_token,
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{server.server_port}/token?api-version=2.0",
        }
        # As GitHub starts a step that names no shell: a pipe's end alone counts.
        command = ["bash", "-e", "-c", step["run"]]
        answer = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)
        server.shutdown()
    known, token = request_token == "request-token", tmp_path / "token"
    assert (answer.returncode == 0) is known, answer.stderr
    assert token.read_text() == ("token for https://kfp.my-company.net/?x=1\n" if known else "")
    assert token.stat().st_mode & 0o077 == 0


def test_the_retrain_job_keeps_no_stored_token_where_it_has_its_own() -> None:
    (step,) = [step for step in RETRAIN["steps"] if step.get("run") == "pipelines/retrain.sh"]
    assert "!vars.RETRAIN_TOKEN_AUDIENCE" in step["env"]["KFP_EXISTING_TOKEN"]
    assert "runner.temp" in step["env"]["KF_PIPELINES_SA_TOKEN_PATH"]
    assert "vars.RETRAIN_RUNNER" in RETRAIN["runs-on"] and "vars.RETRAIN_ENVIRONMENT" in RETRAIN["environment"]
