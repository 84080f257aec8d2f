"""The image of the MLflow server, started as its Deployment says: not root, its file system read-only."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import docker
import pytest
import requests
from docker.models.containers import Container

from images.build import BuildOptions, build_command, image_tag, run_docker
from tests.manifests.mlflow_server import ADMIN, arguments, auth_file, deployment_and_variables, wait_for_health
from tests.manifests.rendered import Object, named, rendered
from tests.services import free_port, postgresql_database, s3_client, s3_service

OVERLAY = "local-storage"

pytestmark = [pytest.mark.system("docker", "kubectl", "postgresql"), pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def image() -> str:
    """Built with the network of this machine."""
    run_docker(build_command("mlflow", BuildOptions()), "mlflow")
    return image_tag("mlflow")


@pytest.fixture(scope="module")
def running(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Container, str, str]]:
    """The container, the server's address, and the address of its S3 service."""
    with postgresql_database() as database:
        _, _, variables = deployment_and_variables(OVERLAY, database, "")
        with s3_service(urlsplit(variables["MLFLOW_ARTIFACTS_DESTINATION"]).netloc) as s3:
            deployment, container, variables = deployment_and_variables(OVERLAY, database, s3)
            yield from _started(image, deployment, container, variables, s3, tmp_path_factory.mktemp("auth"))


def _started(
    image: str, deployment: Object, container: Object, variables: dict[str, str], s3: str, folder: Path
) -> Iterator[tuple[Container, str, str]]:
    assert container["image"] == image
    (folder / "basic_auth.ini").write_text(auth_file(OVERLAY))
    folder.chmod(0o755)
    pod = deployment["spec"]["template"]["spec"]["securityContext"]
    port = free_port()
    command = arguments(container, port)
    client = docker.from_env()
    process = client.containers.run(
        image,
        command[1:],
        entrypoint=command[:1],
        environment=variables,
        user=f"{pod['runAsUser']}:{pod['runAsGroup']}",
        working_dir=container["workingDir"],
        mem_limit=container["resources"]["limits"]["memory"].replace("Mi", "m"),
        read_only=container["securityContext"]["readOnlyRootFilesystem"],
        cap_drop=container["securityContext"]["capabilities"]["drop"],
        security_opt=["no-new-privileges"],
        tmpfs={"/tmp": f"uid={pod['runAsUser']},mode=0700"},
        volumes={str(folder): {"bind": "/etc/mlflow", "mode": "ro"}},
        network_mode="host",
        detach=True,
    )
    address = f"http://127.0.0.1:{port}"

    def lives() -> bool:
        process.reload()
        return bool(process.status in {"created", "running"})

    try:
        wait_for_health(address, lives, lambda: process.logs().decode(errors="replace"))
        yield process, address, s3
    finally:
        process.remove(force=True)
        client.close()


def test_it_serves_read_only_and_without_root(running: tuple[Container, str, str]) -> None:
    container, address, s3 = running
    me = container.exec_run(["id", "-u"])
    assert me.output.decode().strip() == "10001"
    assert container.exec_run(["sh", "-c", "echo x > /opt/x"]).exit_code != 0
    assert requests.get(f"{address}/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=60).status_code == 401
    body = {"name": "faces"}
    made = requests.post(f"{address}/api/2.0/mlflow/experiments/create", json=body, auth=ADMIN, timeout=60)
    assert made.status_code == 200, made.text
    path = f"{made.json()['experiment_id']}/run/artifacts/note.txt"
    url = f"{address}/api/2.0/mlflow-artifacts/artifacts/{path}"
    sent = requests.put(url, data=b"kept", auth=ADMIN, timeout=60)
    assert sent.status_code == 200, sent.text
    assert s3_client(s3).get_object(Bucket="mlpipeline", Key=f"mlflow/{path}")["Body"].read() == b"kept"


def test_it_takes_no_more_memory_than_it_requests(running: tuple[Container, str, str]) -> None:
    container, _, _ = running
    pages = container.exec_run(["sh", "-c", "cat /proc/[0-9]*/smaps_rollup 2>/dev/null"]).output.decode()
    kibibytes = sum(int(line.split()[1]) for line in pages.splitlines() if line.startswith("Pss:"))
    requested = named(rendered(OVERLAY), "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"][0]
    assert 0 < kibibytes < int(requested["resources"]["requests"]["memory"].removesuffix("Mi")) * 1024


def test_the_image_holds_no_compiler(image: str) -> None:
    client = docker.from_env()
    script = "import shutil, sys; sys.exit(shutil.which('gcc') is not None or shutil.which('mlflow') is None)"
    client.containers.run(image, ["-c", script], entrypoint=["python3"], network_mode="none", remove=True)
    client.close()
