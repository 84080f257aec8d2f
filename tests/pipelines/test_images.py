"""A package names what it runs by digest, and a task refuses to run in an image of another revision."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.common import revision as revision_module
from components.common.image_list import PushedImage, read_images, write_images
from components.common.revision import COMMIT_VARIABLE, PACKAGE_VARIABLE, WORKING_TREE
from dualgan.errors import BadInput
from tests.pipelines.kfp_server import KfpServer
from tests.pipelines.test_retrain import register_champion

Command = Callable[..., tuple[int, str, str]]
ARCHITECTURES = {"cpu": ("amd64", "arm64"), "tf1": ("amd64",), "gpu-tf1": ("amd64",), "ascend": ("arm64",)}


def pushed(name: str, digit: str = "0", registry: str = "registry.example:5000", **changes: Any) -> PushedImage:
    reference = f"{registry}/dualgan-parity/{name}@sha256:{digit * 64}"
    given = {"name": name, "reference": reference, "architectures": ARCHITECTURES[name], "revision": "aaaa"}
    return PushedImage.model_validate({**given, **changes})


DIGEST = f"sha256:{'0' * 64}"


def entry(**changes: Any) -> str:
    """A list of one image, as JSON that somebody wrote."""
    given = {"name": "cpu", "reference": f"r.io/dualgan-parity/cpu@{DIGEST}", "architectures": ["amd64"]}
    return json.dumps([{**given, "revision": "aaaa", **changes}])


@pytest.fixture(autouse=True)
def revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMMIT_VARIABLE, "aaaa")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A list of every image that the profiles for a cluster name."""
    file = tmp_path / "images.json"
    write_images(file, map(pushed, ARCHITECTURES))
    return file


def containers(package: Path) -> dict[str, Any]:
    """The container of each task, by the task's name."""
    specification, *_ = yaml.safe_load_all(package.read_text())
    executors = specification["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): one["container"] for name, one in executors.items()}


def test_a_package_names_every_image_by_its_digest(images: Path, command: Command, tmp_path: Path) -> None:
    package = tmp_path / "package.yaml"
    compiled = command("compile", "--profile", "ascend910-vs-gpu", "--images", images, "--output", package)
    assert compiled[0] == 0, compiled
    found = {name: container["image"] for name, container in containers(package).items()}
    wanted = {
        "preflight": "cpu",
        "dataset": "cpu",
        "train-npu-seed-0": "ascend",
        "replay-npu": "ascend",
        "train-gpu-seed-2": "gpu-tf1",
    }
    assert {name: found[name] for name in wanted} == {name: pushed(image).reference for name, image in wanted.items()}
    assert all("@sha256:" in image for image in found.values()) and "image: dualgan-parity/" not in package.read_text()


def test_a_registry_and_a_tag_do_without_a_list(command: Command, tmp_path: Path) -> None:
    package = tmp_path / "package.yaml"
    by_tag = ("--registry", "registry.example/team/", "--tag", "1.0")
    assert command("compile", "--profile", "ascend910", *by_tag, "--output", package)[0] == 0
    found = {container["image"] for container in containers(package).values()}
    assert found == {f"registry.example/team/dualgan-parity/{name}:1.0" for name in ("cpu", "ascend")}


@pytest.mark.parametrize(
    ("changed", "arguments", "said"),
    [
        ({"ascend": None}, (), "image dualgan-parity/ascend:dev: images.json has cpu, tf1, gpu-tf1; push it as well"),
        (
            {"cpu": {"revision": "bbbb"}},
            (),
            "image cpu is of revision bbbb, this code of aaaa: check out bbbb, or push",
        ),
        ({"cpu": {"architectures": ["arm64"]}}, (), "image cpu is for arm64; profile ascend910 asks for amd64"),
        ({}, ("--tag", "1.0"), "--images: has registry and digests; leave --registry and --tag out"),
        ({}, ("--package", "package.yaml"), "--package: it has its images"),
    ],
)
def test_what_does_not_fit_is_one_line_before_kfp_is_asked(
    kfp: KfpServer,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    listed = [pushed(name, **(changed.get(name) or {})) for name in ARCHITECTURES if changed.get(name, {}) is not None]
    write_images(Path("images.json"), listed)
    wanted = ("--profile", "ascend910", "--dataset", "s3://team/faces", "--images", "images.json")
    code, _, errors = command("submit", *wanted, *arguments)
    assert (code, len(errors.splitlines())) == (2, 1) and said in errors and kfp.requests == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("{}", "images: Input should be a valid list"),
        ("[]", "images: List should have at least 1 item"),
        ('[{"name": "cpu"}]', "0.reference: Field required"),
        (entry(), None),
        (entry(reference="r.io/dualgan-parity/cpu:1"), "0.reference: r.io/dualgan-parity/cpu:1 is not REGISTRY/"),
        (entry(reference=f"http://r:{{y}}/dualgan-parity/cpu@{DIGEST}"), "0.reference"),
        (entry(reference=f"r,x/dualgan-parity/cpu@{DIGEST}"), "0.reference"),
        (entry(reference=f"dualgan-parity/cpu@{DIGEST}"), "0.reference"),
        (entry(reference=f"r/dualgan-parity/mlflow@{DIGEST}"), "is not REGISTRY/dualgan-parity/cpu@sha256:DIGEST"),
        (entry(architectures=["amd64, arm64"]), "0.architectures.0"),
        (entry(revision=""), "0.revision"),
        (None, "No such file"),
    ],
)
def test_a_list_that_is_none_is_one_line(tmp_path: Path, content: str | None, said: str | None) -> None:
    file = tmp_path / "images.json"
    if content is not None:
        file.write_text(content)
    if said is None:
        assert read_images(file)["cpu"].digest == DIGEST
        return
    with pytest.raises(BadInput) as refusal:
        read_images(file)
    (line,) = str(refusal.value).splitlines()
    assert str(file) in line and said in line


@pytest.fixture
def start(command: Command, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Start a task of a package as KFP does, in an image of a revision."""
    package = tmp_path / "package.yaml"
    assert command("compile", "--profile", "ascend910-vs-gpu", "--output", package)[0] == 0
    container = containers(package)["preflight-npu"]

    def start(revision: str) -> subprocess.CompletedProcess[str]:
        given = json.dumps({"inputs": {}, "outputs": {"outputFile": str(tmp_path / "output.json")}})
        arguments = [argument.replace("{{$}}", given) for argument in container["args"]]
        environment = {one["name"]: one["value"] for one in container["env"]}
        return subprocess.run(
            [sys.executable, *container["command"][1:], *arguments],
            env={**os.environ, **environment, COMMIT_VARIABLE: revision},
            cwd=WORKING_TREE,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return start


def test_a_task_runs_in_an_image_of_its_package_s_revision_alone(
    start: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    assert all(
        {"name": PACKAGE_VARIABLE, "value": "aaaa"} in one["env"]
        for one in containers(tmp_path / "package.yaml").values()
    )
    ended = start("aaaa")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    ended = start("bbbb")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        "error: this task's image is of revision bbbb, its package of aaaa: push the images of aaaa, or compile the "
        "package from bbbb"
    ]


def test_where_no_revision_is_asked_for_git_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def code_commit() -> str:
        raise AssertionError("git was asked")

    monkeypatch.setattr(revision_module, "code_commit", code_commit)
    monkeypatch.delenv(PACKAGE_VARIABLE, raising=False)
    revision_module.require_package_revision()


@pytest.fixture
def from_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """images.json as `python -m images push` writes it of images in a real registry."""
    from images import registry
    from images.__main__ import main
    from tests.images.tiny import PREFIX, make_image, remove_images
    from tests.services import container_registry

    monkeypatch.setattr(registry, "image_tag", lambda name: f"{PREFIX}/{name}:dev")
    file = tmp_path / "images.json"
    with container_registry() as address:
        for name in ("cpu", "ascend"):
            make_image(f"{PREFIX}/{name}:dev", "aaaa", ARCHITECTURES[name][0])
        assert main(["push", "--registry", address, "--no-build", "--output", str(file), "cpu", "ascend"]) == 0
        yield file
        remove_images(address)


@pytest.mark.system("docker", "docker-registry")
def test_what_is_pushed_is_compiled_and_a_second_retrain_on_it_has_nothing_to_do(
    from_registry: Path, kfp: KfpServer, tracked: str, command: Command, tmp_path: Path
) -> None:
    package = tmp_path / "package.yaml"
    assert command("compile", "--profile", "ascend910", "--images", from_registry, "--output", package)[0] == 0
    references = {image.reference for image in read_images(from_registry).values()}
    assert {container["image"] for container in containers(package).values()} == references
    wanted = ("--profile", "ascend910", "--dataset", "synthetic", "--model", "pushed", "--images", from_registry)
    assert command("retrain", *wanted)[0] == 0
    register_champion(tracked, next(iter(kfp.runs.values())), "pushed")
    code, printed, _ = command("retrain", *wanted)
    assert code == 0 and "not due: nothing changed" in printed and len(kfp.runs) == 1
