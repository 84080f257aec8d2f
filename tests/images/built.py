"""The images as the tests use them: built once, from this tree, under tags of their own."""

import functools
import os
import subprocess
from pathlib import Path

import docker

from components.common.revision import WORKING_TREE
from images.build import BuildOptions, build_command, load_bases, run_docker

HERE = Path(__file__).parent
STANDALONE = "dualgan-parity/standin-python3.11:test"
ASCEND_BASE = "dualgan-parity/standin-ascend:test"
# Packed by tests/images/standalone-python for a machine that reaches no builds of Python.
DOWNLOADS = "file:///standalone/downloads.json"


@functools.cache
def client() -> docker.DockerClient:
    return docker.from_env()


@functools.cache
def image(name: str) -> str:
    """The tag of the image ``name``, built if it has not been. "ascend" is built on a stand-in for Huawei's image."""
    tag = f"dualgan-parity/{name}:test"
    arguments = _ascend_stand_ins() if name == "ascend" else []
    run_docker(build_command(name, BuildOptions(build_arg=arguments), tag), name)
    return tag


def run(tag: str, *command: str, **options: object) -> str:
    """What ``command`` prints in a container of ``tag`` without network or a place to write but /tmp."""
    settings = {"read_only": True, "tmpfs": {"/tmp": "mode=1777"}, "network_mode": "none", "remove": True}
    output: bytes = client().containers.run(tag, list(command), stderr=True, **{**settings, **options})
    return output.decode()


def _ascend_stand_ins() -> list[str]:
    bases = load_bases()
    _stand_in("standalone-python", STANDALONE, PYTHON_3_11=bases["PYTHON_3_11"].reference)
    _stand_in("ascend-base", ASCEND_BASE, PYTHON_3_7=bases["PYTHON_3_7"].reference)
    version = run(STANDALONE, "python3", "-c", "import platform; print(platform.python_version())").strip()
    python = [f"PYTHON_3_11={STANDALONE}", f"STANDALONE_PYTHON={version}", f"UV_PYTHON_DOWNLOADS_JSON_URL={DOWNLOADS}"]
    return [f"ASCEND_TF1={ASCEND_BASE}", *python]


def _stand_in(folder: str, tag: str, **arguments: str) -> None:
    pip = {name: value for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL") if (value := os.environ.get(name))}
    command = ["docker", "build", "--network", "host", "--file", str(HERE / folder / "Dockerfile"), "--tag", tag]
    for name, value in {**pip, **arguments}.items():
        command += ["--build-arg", f"{name}={value}"]
    subprocess.run([*command, str(WORKING_TREE)], check=True)
