"""The image of the MLflow server, started as its Deployment says: not root, its file system read-only."""

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import docker
import pytest
import requests
from docker.models.containers import Container

from images.build import BuildOptions, build_command, image_tag, run_docker
from tests.manifests.mlflow_server import ADMIN, arguments, auth_file, deployment_and_variables, wait_for_health
from tests.manifests.rendered import named, rendered
from tests.services import free_port, postgresql_database, s3_client, s3_service

OVERLAY = "local-storage"

pytestmark = [pytest.mark.system("docker", "kubectl", "postgresql"), pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Container, str, str]]:
    """The container, the server's address, and the address of its S3 service."""
    image, folder = image_tag("mlflow"), tmp_path_factory.mktemp("auth")
    run_docker(build_command("mlflow", BuildOptions()), "mlflow")
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(postgresql_database())
        _, _, variables = deployment_and_variables(OVERLAY, database, "")
        s3 = stack.enter_context(s3_service(urlsplit(variables["MLFLOW_ARTIFACTS_DESTINATION"]).netloc))
        deployment, container, variables = deployment_and_variables(OVERLAY, database, s3)
        assert container["image"] == image
        (folder / "basic_auth.ini").write_text(auth_file(OVERLAY))
        folder.chmod(0o755)
        pod, port = deployment["spec"]["template"]["spec"]["securityContext"], free_port()
        program, *words = arguments(container, port)
        client = stack.enter_context(contextlib.closing(docker.from_env()))
        process = client.containers.run(
            image,
            words,
            entrypoint=[program],
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
        stack.callback(process.remove, force=True)

        def lives() -> bool:
            process.reload()
            return bool(process.status in {"created", "running"})

        address = f"http://127.0.0.1:{port}"
        wait_for_health(address, lives, lambda: process.logs().decode(errors="replace"))
        yield process, address, s3


def test_it_serves_read_only_without_root_compilers_and_more_memory_than_it_requests(
    running: tuple[Container, str, str],
) -> None:
    container, address, s3 = running
    assert container.exec_run(["id", "-u"]).output.decode().strip() == "10001"
    assert container.exec_run(["sh", "-c", "echo x > /opt/x"]).exit_code != 0
    assert container.exec_run(["sh", "-c", "command -v gcc"]).exit_code != 0
    assert requests.get(f"{address}/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=60).status_code == 401
    body = {"name": "faces"}
    made = requests.post(f"{address}/api/2.0/mlflow/experiments/create", json=body, auth=ADMIN, timeout=60)
    assert made.status_code == 200, made.text
    path = f"{made.json()['experiment_id']}/run/artifacts/note.txt"
    url = f"{address}/api/2.0/mlflow-artifacts/artifacts/{path}"
    sent = requests.put(url, data=b"kept", auth=ADMIN, timeout=60)
    assert sent.status_code == 200, sent.text
    assert s3_client(s3).get_object(Bucket="mlpipeline", Key=f"mlflow/{path}")["Body"].read() == b"kept"
    pages = container.exec_run(["sh", "-c", "cat /proc/[0-9]*/smaps_rollup 2>/dev/null"]).output.decode()
    kibibytes = sum(int(line.split()[1]) for line in pages.splitlines() if line.startswith("Pss:"))
    requested = named(rendered(OVERLAY), "Deployment", "mlflow")["spec"]["template"]["spec"]["containers"][0]
    assert 0 < kibibytes < int(requested["resources"]["requests"]["memory"].removesuffix("Mi")) * 1024
