"""KFP's own tools take what we make: its command line here, its OpenAPI file in the system tier."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.package import compile_package
from pipelines.profile import load_profile
from tests.pipelines.kfp_server import KfpServer
from tests.pipelines.test_submit import DATASET

Command = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).resolve().parents[2]
# Names a copy of KFP's backend/api/v2beta1/swagger/kfp_api_single_file.swagger.json, of release 2.17.
OPENAPI_VARIABLE = "KFP_OPENAPI"
PRISM = "@stoplight/prism-cli@5.14.2"
KFP = str(Path(sys.executable).with_name("kfp"))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("package") / "package.yaml"
    compile_package(load_profile("ascend910"), file)
    return file


@pytest.mark.parametrize("verb", ["create", "submit"])
def test_kfp_s_own_command_line_submits_the_package(kfp: KfpServer, package: Path, verb: str) -> None:
    arguments = ["run", verb, "-e", "parity", "-f", str(package), 'experiment="5"', "quarantine=true", "options={}"]
    answer = subprocess.run(
        [KFP, "--endpoint", kfp.url, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert answer.returncode == 0, answer.stderr
    (run,) = kfp.runs.values()
    assert run["runtime_config"]["parameters"] == {"experiment": "5", "quarantine": True, "options": {}}
    assert kfp.experiments[run["experiment_id"]]["display_name"] == "parity"


@pytest.fixture(scope="module")
def prism(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A mock of KFP's official OpenAPI file that refuses what the file does not allow."""
    if OPENAPI_VARIABLE not in os.environ:
        (pytest.fail if request.config.getoption("--skip-nothing") else pytest.skip)(
            f"{OPENAPI_VARIABLE} does not name KFP's OpenAPI file"
        )
    folder = tmp_path_factory.mktemp("prism")
    specification = json.loads(Path(os.environ[OPENAPI_VARIABLE]).read_text())
    # Examples that the mock makes up by itself are not base64, and its runs would never end.
    specification["definitions"]["protobufAny"]["example"] = {"type_url": "x", "value": "c3RyaW5n"}
    specification["definitions"]["v2beta1RuntimeState"]["default"] = "SUCCEEDED"
    (folder / "kfp.json").write_text(json.dumps(specification))
    npm = shutil.which("npm")
    assert npm
    subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", PRISM], cwd=folder, check=True, timeout=500)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    prism = str(folder / "node_modules/.bin/prism")
    program = [prism, "mock", "--host", "127.0.0.1", "--port", str(port), "kfp.json"]
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(program, cwd=folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while "listening" not in (folder / "log.txt").read_text():
            assert server.poll() is None and time.monotonic() < deadline, (folder / "log.txt").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.system("npm")
def test_kfp_s_openapi_file_allows_every_call_that_we_make(
    prism: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_EXISTING_TOKEN", "token")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = ("--poll", "0", "--pipeline-root", "s3://team/kfp", "--service-account", "runner")
    code, printed, errors = command("submit", "--profile", "ascend910", *DATASET, "--endpoint", prism, *root)
    # The mock keeps nothing, so that the run succeeds and has no verdict.
    assert code == 1 and "succeeded; its verdict is not known: MLflow was not asked" in errors
    assert "run: succeeded" in printed
    scheduled = ("--profile", "ascend910", *DATASET, "--endpoint", prism, "--cron", "0 17 3 * * *", "--replace")
    code, printed, _ = command("schedule", *scheduled)
    assert code == 0 and "enabled" in printed
    code, printed, errors = command("upload", "--profile", "ascend910", "--endpoint", prism)
    assert code == 0 and "version " in printed, errors
    code, printed, errors = command("schedule", *scheduled, "--upload")
    assert code == 0 and "enabled" in printed, errors


@pytest.mark.system("npm")
def test_kfp_s_command_line_and_its_openapi_file_agree_on_the_package(prism: str, package: Path) -> None:
    program = [KFP, "--endpoint", prism, "--existing-token", "token", "run", "create", "-w", "-e", "parity"]
    answer = subprocess.run([*program, "-f", str(package)], capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stderr


def test_workflows_follow_their_schema() -> None:
    files = sorted((ROOT / ".github/workflows").glob("*.yaml"))
    assert [file.name for file in files] == ["ci.yaml", "cluster.yaml", "release.yaml", "retrain.yaml"]
    checker = str(Path(sys.executable).with_name("check-jsonschema"))
    program = [checker, "--builtin-schema", "vendor.github-workflows", *map(str, files)]
    answer = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stdout
