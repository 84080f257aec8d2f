"""The images as they are: small, without tools, nobody's root, and able to say what they see."""

import json

import pytest

from components.common.revision import WORKING_TREE
from images.build import BuildOptions, build_command, run_docker
from tests.images.built import client, image, run

pytestmark = [pytest.mark.system("docker"), pytest.mark.timeout(1200)]
IMAGES = ("cpu", "tf1", "ascend")
DOCTOR = {"cpu": "python3", "tf1": "$DUALGAN_TF1_PYTHON", "ascend": "$DUALGAN_TF1_PYTHON"}
TENSORFLOW = {"cpu": "2.21.0", "tf1": "1.15.0", "ascend": "1.15.0"}
# As a cluster does it: KFP gives a command of its own, and the entry point is not run.
WORK_ON_THE_NPU = """
import os
import subprocess
from pathlib import Path
from components.dataset.fetch import fetch
from components.dataset.options import FetchOptions
from components.train.runtimes import python_of, trainer_environment

fetch("synthetic://?n=4&size=32", Path("/tmp/faces"), FetchOptions(lock=Path("/tmp/datasets.lock")))
options = "--device npu --data_dir /tmp/faces --run_dir /tmp/run --max_steps 10 --image_size 32 --gcn 4 --dcn 4"
dualgan = [str(python_of("tf1")), "-m", "dualgan"]
assert not os.access(".", os.W_OK)
for command in (["doctor", "--device", "npu"], VERIFY, ["train", *options.split()]):
    print(subprocess.run([*dualgan, *command], env=trainer_environment({}), check=True, stdout=subprocess.PIPE).stdout)
print(Path("/tmp/run/options.json").read_text())
print("SUMMARY", Path("/tmp/run/summary.json").read_text().replace("\\n", ""))
"""


@pytest.mark.parametrize("name", IMAGES)
def test_its_labels_say_what_it_is_and_its_doctor_finds_tensorflow_as_any_user(name: str) -> None:
    labels = client().images.get(image(name)).labels
    prefix = "org.opencontainers.image."
    assert labels[f"{prefix}title"] == f"dualgan-parity {name}" and labels[f"{prefix}base.name"]
    assert labels[f"{prefix}licenses"] == "Apache-2.0"
    assert labels[f"{prefix}revision"] == run(image(name), "sh", "-c", "echo $DUALGAN_GIT_COMMIT").strip()
    command = f'"{DOCTOR[name]}" -m dualgan doctor --json 2>/dev/null'
    report = json.loads(run(image(name), "sh", "-c", command, user="4321:4321").splitlines()[-1])
    assert report["usable"] and report["devices"]["cpu"]["usable"]
    assert report["versions"]["tensorflow"] == TENSORFLOW[name]


@pytest.mark.parametrize("name", IMAGES)
def test_it_becomes_healthy(name: str) -> None:
    health = client().images.get(image(name)).attrs["Config"]["Healthcheck"]
    # The image's own command and time limit, asked for at once instead of after ten minutes.
    container = client().containers.run(
        image(name), ["sleep", "300"], detach=True, network_mode="none",
        healthcheck={"test": health["Test"], "timeout": health["Timeout"], "interval": 10**9},
    )  # fmt: skip
    try:
        seen = client().api.events(since=0, decode=True, filters={"container": container.id, "type": "container"})
        states = (event["status"] for event in seen if event["status"].startswith("health_status"))
        assert next(states) == "health_status: healthy"
    finally:
        container.remove(force=True)


@pytest.mark.parametrize("name", IMAGES)
def test_it_runs_as_nobody_of_importance_with_what_kfp_calls_and_neither_compilers_nor_caches(name: str) -> None:
    looked_for = "sh mktemp python3 gcc cc g++ c++ clang make ld git"
    tools = run(image(name), "sh", "-c", f"id -u; id -g; for tool in {looked_for}; do command -v $tool; done; true")
    assert [word.rpartition("/")[2] for word in tools.split()] == ["1000", "1000", "sh", "mktemp", "python3"]
    assert run(image(name), "python3", "-c", "import sys, kfp; print(sys.version_info[:2])").strip() == "(3, 11)"
    caches = "find / -xdev \\( -path '*/.cache/*' -o -path '/var/lib/apt/lists/*_*' -o -path '/build/*' \\) 2>/dev/null"
    assert run(image(name), "sh", "-c", f"{caches}; true").split() == []


def test_the_cpu_image_is_under_two_gigabytes_and_can_have_another_user() -> None:
    assert client().images.get(image("cpu")).attrs["Size"] < 2.0e9
    tag = "dualgan-parity/cpu:test-uid"
    run_docker(build_command("cpu", BuildOptions(uid=4321, gid=4322), tag), tag)
    try:
        assert run(tag, "sh", "-c", "id -u; id -g").split() == ["4321", "4322"]
    finally:
        client().images.remove(tag, force=True)


def test_the_entry_point_of_the_ascend_image_makes_the_environment_of_one_card() -> None:
    shown = run(
        image("ascend"), "sh", "-c",
        "echo $DEVICE_ID [$ASCEND_DEVICE_ID] $RANK_ID $RANK_SIZE [$RANK_TABLE_FILE] $ASCEND_OPP_PATH",
        environment={"RANK_TABLE_FILE": "/somewhere/hccl.json", "DEVICE_ID": "5"},
    )  # fmt: skip
    assert shown.split() == ["5", "[]", "0", "1", "[]", "/usr/local/Ascend/ascend-toolkit/latest/opp"]


def test_the_ascend_image_works_as_an_unknown_user_in_a_folder_of_root_when_its_entry_point_is_not_run() -> None:
    golden = WORKING_TREE / "tests/components/dualgan/golden"
    verify = f'["verify", "/golden/{sorted(golden.glob("*.npz"))[-1].name}", "--device", "npu"]'
    output = run(
        image("ascend"), "-c", f"VERIFY = {verify}\n{WORK_ON_THE_NPU}", entrypoint="python3", user="4321:4321",
        volumes={str(golden): {"bind": "/golden", "mode": "ro"}},
    )  # fmt: skip
    options, _, summary = output.rpartition("SUMMARY")
    assert json.loads(summary)["status"] == "finished" and json.loads(summary)["steps"] == 10
    assert '"npu"' in options and "910A" in options and "5.0.4" in options
