"""What the workflows do beyond calling programs of this repository; actionlint and zizmor look at the rest."""

import json
import os
import re
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from components.common.image_list import name_in
from components.common.revision import COMMIT_VARIABLE
from images.build import dockerfile_of, known_images
from tests.manifests.rendered import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = {file.stem: yaml.safe_load(file.read_text()) for file in (GITHUB / "workflows").glob("*.yaml")}
RETRAIN, RELEASE = WORKFLOWS["retrain"]["jobs"]["retrain"], WORKFLOWS["release"]["jobs"]
# By tag, the newest first: what lies beside a release, and what is in its list of images.
RELEASES = {
    "v2.0-rc1": {"images.json": '["of v2.0-rc1"]'},
    "v1.2": {"x.json": ""},
    "v1.1": {"x.json": "", "images.json": '["of v1.1"]'},
    "v1.0": {"images.json": '["of v1.0"]'},
}


class _Github(BaseHTTPRequestHandler):
    """GitHub's service of tokens for a job, and its releases."""

    def do_GET(self) -> None:
        query, path = parse_qs(urlsplit(self.path).query), urlsplit(self.path).path.strip("/").split("/")
        answer: Any = None
        match path:
            case ["token"] if self.headers["Authorization"] == "bearer request-token":
                answer = {"value": f"token for {query['audience'][0]}"} if query["api-version"] == ["2.0"] else None
            case ["repos", "team", name, "releases", *which] if self.headers["Authorization"] == "Bearer hush":
                at = f"http://{self.headers['Host']}/repos/team/parity/releases/assets"
                answer = [
                    {"tag_name": tag, "draft": False, "prerelease": "rc" in tag}
                    | {"assets": [{"name": name, "url": f"{at}/{tag}/{name}"} for name in files]}
                    for tag, files in RELEASES.items()
                    if name == "parity"
                ]
                if which:
                    answer = RELEASES[which[1]][which[2]]
        self.send_response(401 if answer is None and path == ["token"] else 404 if answer is None else 200)
        self.end_headers()
        self.wfile.write((answer if isinstance(answer, str) else json.dumps(answer)).encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def _run(step: dict[str, Any], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a step as GitHub starts one that names no shell: a pipe's end alone counts."""
    with HTTPServer(("127.0.0.1", 0), _Github) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        environment = {
            "PATH": os.environ["PATH"],
            "no_proxy": "127.0.0.1",
            "RUNNER_TEMP": str(folder),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_API_URL": address,
            "GITHUB_REPOSITORY": "team/parity",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{address}/token?api-version=2.0",
        }
        command = ["bash", "-e", "-c", step["run"]]
        answer = subprocess.run(
            command, env=environment | variables, capture_output=True, text=True, timeout=60, check=False
        )
        server.shutdown()
    return answer


needs_curl = pytest.mark.skipif(
    not (shutil.which("jq") and shutil.which("curl")), reason="needs jq and curl, as a runner has them"
)


@needs_curl
@pytest.mark.parametrize("request_token", ["request-token", "another"])
def test_a_job_logs_in_with_its_own_token(request_token: str, tmp_path: Path) -> None:
    (step,) = [step for step in RETRAIN["steps"] if "own token" in step.get("name", "")]
    audience = "https://kfp.my-company.net/?x=1"
    answer = _run(step, tmp_path, AUDIENCE=audience, ACTIONS_ID_TOKEN_REQUEST_TOKEN=request_token)
    known, token = request_token == "request-token", tmp_path / "token"
    assert (answer.returncode == 0) is known, answer.stderr
    assert token.read_text() == ("token for https://kfp.my-company.net/?x=1\n" if known else "")
    assert token.stat().st_mode & 0o077 == 0


@needs_curl
@pytest.mark.parametrize(
    ("release", "tag", "reason"),
    [
        ("", "v1.1", ""),
        ("v1.0", "v1.0", ""),
        ("v2.0-rc1", "v2.0-rc1", ""),
        ("v1.2", "", "v1.2: no release of this tag has an images.json; has release.yaml ended well?"),
        ("v3.0", "", "v3.0: no release of this tag has an images.json; has release.yaml ended well?"),
    ],
)
def test_a_retrain_has_the_images_of_a_release_and_its_code(
    release: str, tag: str, reason: str, tmp_path: Path
) -> None:
    step, checkout = RETRAIN["steps"][:2]
    answer = _run(step, tmp_path, RELEASE=release, GH_TOKEN="hush")
    assert (answer.returncode == 0) is (not reason), answer.stderr
    if reason:
        assert f"::error::{reason}" in answer.stdout and not (tmp_path / "images.json").exists()
        return
    assert (tmp_path / "images.json").read_text() == RELEASES[tag]["images.json"]
    assert (tmp_path / "output").read_text() == f"tag={tag}\nimages={tmp_path}/images.json\n"
    assert checkout["with"]["ref"] == "${{ steps.release.outputs.tag }}"
    (retrain,) = [step for step in RETRAIN["steps"] if step.get("run") == "pipelines/retrain.sh"]
    assert retrain["env"]["IMAGES"] == "${{ steps.release.outputs.images }}"


@needs_curl
def test_a_retrain_without_a_release_has_the_images_of_the_profile_and_one_that_is_not_answered_fails(
    tmp_path: Path,
) -> None:
    answer = _run(RETRAIN["steps"][0], tmp_path, RELEASE="", GH_TOKEN="hush", GITHUB_REPOSITORY="team/new")
    assert answer.returncode == 0 and "::notice::no release has an images.json" in answer.stdout
    assert not (tmp_path / "output").exists() and not (tmp_path / "images.json").exists()
    assert _run(RETRAIN["steps"][0], tmp_path, RELEASE="", GH_TOKEN="wrong").returncode != 0


@pytest.mark.parametrize(("images", "started"), [(("cpu", "gpu-tf1", "ascend"), True), (("cpu", "mlflow"), False)])
def test_a_release_starts_a_retrain_alone_if_it_has_the_images_of_the_profile(
    images: tuple[str, ...], started: bool, tmp_path: Path
) -> None:
    listed = [
        {"name": name, "reference": f"r.example/dualgan-parity/{name}@sha256:{'0' * 64}", "revision": "aaaa"}
        | {"architectures": ["amd64", "arm64"]}
        for name in images
    ]
    (tmp_path / "images.json").write_text(json.dumps(listed))
    gh = tmp_path / "gh"
    gh.write_text('#!/bin/sh\necho "$@" >started\n')
    gh.chmod(0o755)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    step = RELEASE["publish"]["steps"][-1]
    default = re.findall(r"'(.*)'", step["env"]["PROFILE"])[0]
    here = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TAG": "v1.0", "PROFILE": default, COMMIT_VARIABLE: "aaaa"}
    answer = _run({"run": f"cd {tmp_path}\n{step['run']}"}, tmp_path, **here)
    assert answer.returncode == 0, answer.stderr
    assert ("::warning::no retrain" in answer.stdout) is not started
    assert (tmp_path / "started").exists() is started
    if started:
        words = (tmp_path / "started").read_text().split()
        assert words == ["workflow", "run", "retrain.yaml", "--field", "release=v1.0", "--field", f"profile={default}"]
    # GitHub gives a default to whoever names no profile, and RETRAIN_PROFILE would count for nothing.
    assert "default" not in WORKFLOWS["retrain"][True]["workflow_dispatch"]["inputs"]["profile"]


@pytest.mark.parametrize(
    ("tag", "said"), [("v1.0", ""), ("v1.0+x", "tag v1.0+x: "), ("a/b", "tag a/b: "), ("v" * 122, "tag vvv")]
)
def test_a_release_whose_tag_no_image_can_have_is_refused_before_anything_is_built(
    tag: str, said: str, tmp_path: Path
) -> None:
    answer = _run(RELEASE["images"]["steps"][0], tmp_path, TAG=tag)
    assert (answer.returncode == 0) is (not said) and ("::error::" in answer.stdout) is bool(said)
    assert said in answer.stdout
    if not said:
        assert name_in("r.example", "cpu", f"{tag}-amd64")


def test_a_scan_refuses_holes_of_every_image_but_a_vendors() -> None:
    steps = yaml.safe_load((GITHUB / "actions/image/action.yaml").read_text())["runs"]["steps"]
    (scan,) = [step["with"] for step in steps if "severity" in step.get("with", {})]
    excused = json.loads(re.findall(r"fromJSON\('(.*?)'\)", scan["exit-code"])[0])
    on_ours = {name for name in known_images() if _base(name) == "PYTHON_3_11"}
    assert {"cpu", "tf1", "gpu", "mlflow"} <= on_ours and set(excused) == {*known_images()} - on_ours
    # What is left out is the frozen Python, where tf1's Dockerfile has it.
    dockerfile = dockerfile_of("tf1").read_text()
    assert all(folder in dockerfile and "3.7" in folder for folder in scan["skip-dirs"].split(","))


def _base(name: str) -> str:
    """What an image is built on, by the name of the build argument."""
    return str(re.findall(r"^FROM \$\{(\w+)\}$", dockerfile_of(name).read_text(), re.MULTILINE)[-1])


def test_an_image_is_pushed_once_it_was_scanned_and_a_retrain_is_due_once_all_are_pushed() -> None:
    action = yaml.safe_load((GITHUB / "actions/image/action.yaml").read_text())["runs"]["steps"]
    scan, listing = [step["with"] for step in action if "trivy" in step.get("uses", "")]
    assert (scan["severity"], listing["format"]) == ("CRITICAL", "spdx-json")
    assert not {"exit-code", "skip-dirs"} & listing.keys()
    steps = [step.get("uses", step.get("run", "")) for step in RELEASE["images"]["steps"]]
    order = [
        next(place for place, step in enumerate(steps) if what in step)
        for what in ("$/.github/actions/image", "images push", "attest-build-provenance", "attest-sbom")
    ]
    assert order == sorted(order)
    assert RELEASE["publish"]["needs"] == "images"
    *_, upload, retrain = [step.get("run", "") for step in RELEASE["publish"]["steps"]]
    assert "gh release upload" in upload and "gh workflow run retrain.yaml" in retrain
    # Whatever else starts a retrain, a push does not: its images are not there yet.
    assert set(WORKFLOWS["retrain"][True]) == {"schedule", "repository_dispatch", "workflow_dispatch"}
    built = [
        (one["image"], one["runner"]) for one in WORKFLOWS["ci"]["jobs"]["images"]["strategy"]["matrix"]["include"]
    ]
    text = RELEASE["images"]["strategy"]["matrix"]["include"]
    released = json.loads(re.findall(r"'(\[.*\])'", text, re.DOTALL)[0])
    assert built == [(one["image"], one["runner"]) for one in released]
    assert {one["arch"] for one in released if one["image"] in ("cpu", "mlflow")} == {"amd64", "arm64"}
    for one in released:
        assert one["runner"].endswith("-arm") is (one["arch"] == "arm64")


def test_what_others_wrote_is_named_by_its_commit() -> None:
    used = re.findall(r"uses: (\S+)(.*)", "".join(file.read_text() for file in GITHUB.rglob("*.yaml")))
    for name, version in used:
        pinned = re.search(r"@[0-9a-f]{40}$", name) and re.fullmatch(r" # v\d+\.\d+\.\d+", version)
        assert name.startswith("$/") or pinned, name


def test_the_retrain_job_keeps_no_stored_token_where_it_has_its_own() -> None:
    (step,) = [step for step in RETRAIN["steps"] if step.get("run") == "pipelines/retrain.sh"]
    assert "!vars.RETRAIN_TOKEN_AUDIENCE" in step["env"]["KFP_EXISTING_TOKEN"]
    assert "runner.temp" in step["env"]["KF_PIPELINES_SA_TOKEN_PATH"]
    assert "vars.RETRAIN_RUNNER" in RETRAIN["runs-on"] and "vars.RETRAIN_ENVIRONMENT" in RETRAIN["environment"]
