"""Which docker command builds an image, and whether its locks hold what the code imports."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from components.common.image_list import PushedImage, write_images
from components.common.revision import WORKING_TREE
from dualgan.errors import BadInput
from images.__main__ import main
from images.build import BuildOptions, build_command, dockerfile_of, known_images, load_bases

PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)
# Imported for types, by an accelerator's image alone, or by who starts the containers.
ELSEWHERE = {"mypy_boto3_s3", "npu_bridge", "npu_device", "docker", "tensorflow"}
CODE = ("components", "parity", "pipelines")


def pins(lock: str) -> dict[str, str]:
    return dict(PIN.findall((WORKING_TREE / "requirements" / lock).read_text()))


def imported() -> set[str]:
    names = set()
    for file in (file for folder in CODE for file in (WORKING_TREE / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module)
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {*CODE, "dualgan"}


@pytest.mark.parametrize("lock", ["image-cpu.txt", "image-pipeline.txt", "image-gpu.txt"])
def test_a_lock_holds_everything_that_the_code_imports_in_the_versions_that_the_tests_run_with(lock: str) -> None:
    distributions, held, tested = packages_distributions(), pins(lock), pins("pipeline.txt")
    for name in imported() - ELSEWHERE:
        providers = {provider.lower().replace("_", "-") for provider in distributions[name]}
        assert providers & held.keys(), f"{name} is imported, and none of {providers} is in {lock}"
    assert {name: held[name] for name in held.keys() & tested} == {name: tested[name] for name in held.keys() & tested}
    assert pins("image-trainer.txt") == {"pillow": pins("tf1.txt")["pillow"]}


@pytest.mark.parametrize("name", known_images())
def test_every_from_is_a_base_of_the_one_file_or_an_earlier_stage(name: str) -> None:
    dockerfile = dockerfile_of(name).read_text()
    for base in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE):
        assert base.removeprefix("${").removesuffix("}") in load_bases()
    for base in re.findall(r"^ARG (\w+)\n(?=.*^FROM)", dockerfile, re.MULTILINE | re.DOTALL):
        assert base in load_bases() or base.startswith(("PIP_", "UV_", "STANDALONE", "TRAINER_"))


def test_a_digest_in_the_file_pins_the_base(tmp_path: Path) -> None:
    file = tmp_path / "bases.yaml"
    file.write_text(f"BASE: {{image: 'debian:12', digest: 'sha256:{'0a' * 32}', what: a test}}")
    assert load_bases(file)["BASE"].reference == f"debian:12@sha256:{'0a' * 32}"
    file.write_text("BASE: {image: 'debian:12', digest: latest, what: a test}")
    with pytest.raises(BadInput, match=r"bases\.yaml: BASE\.digest"):
        load_bases(file)


def test_a_build_has_the_bases_of_the_file_pips_settings_and_what_is_explicit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://localhost:3141/simple")
    bases, options = load_bases(), BuildOptions(uid=7, gid=8)
    cpu = {
        "PIP_INDEX_URL=http://localhost:3141/simple",
        "UID=7",
        "GID=8",
        f"PYTHON_3_11={bases['PYTHON_3_11'].reference}",
    }
    assert cpu <= {*build_command("cpu", options)}
    assert f"ASCEND_TF1={bases['ASCEND_TF1'].reference}" in build_command("ascend", options)
    # Another's Dockerfile, on another base.
    variant = build_command("ascend-a2", options)
    assert {f"ASCEND_TF1={bases['ASCEND_A2'].reference}", "TRAINER_PYTHON=3.9", "dualgan-parity/ascend-a2:dev"} <= {
        *variant
    }
    assert "ASCEND_TF1=own:1" in build_command("ascend-a2", BuildOptions(build_arg=["ASCEND_TF1=own:1"]))


def test_a_component_takes_the_place_of_an_earlier_one_and_of_no_other_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed, site = tmp_path / "pushed.json", tmp_path / "site"
    reference = f"r.io/dualgan-parity/cpu@sha256:{'0' * 64}"
    write_images(pushed, [PushedImage(name="cpu", reference=reference, architectures=("amd64",), revision="a")])
    for _ in range(2):
        assert main(["component", str(pushed), str(site / "images")]) == 0
    for name in ("kustomization.yaml", "images.json"):
        (site / name).write_text("mine")
        capsys.readouterr()
        assert main(["component", str(pushed), str(site)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{site}: has files of another" in line and (site / name).read_text() == "mine"
        (site / name).unlink()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("build", "gpu2"), "image gpu2: unknown; known are ascend, ascend-a2, cpu"),
        (("build", "cpu", "--build-arg", "COLOUR=red"), "image cpu: no build argument COLOUR"),
        (("build", "cpu", "--build-arg", "COLOUR"), "--build-arg COLOUR: must be NAME=VALUE"),
        (("build", "cpu", "tf1", "--tag", "x:y"), "--tag: names one image"),
        # Before anything is built.
        (("push", "cpu", "--registry", "https://r.io"), "registry 'https://r.io', tag '"),
        (("push", "cpu", "--registry", ""), "registry '', tag '"),
        (("push", "cpu", "--registry", "r.io", "--tag", "1.0+x"), "registry 'r.io', tag '1.0+x': "),
    ],
)
def test_wrong_input_ends_in_one_line(
    arguments: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is asked of docker.
    monkeypatch.setenv("PATH", "")
    assert main(list(arguments)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {reason}")
