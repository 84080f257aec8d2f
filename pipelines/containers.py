"""The containers of a pipeline run on this machine: what they are allowed, what they see, and who they are."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import docker
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import DeviceRequest, Mount

from components.common.console import print_status
from components.common.docker_engine import ENGINE_ERRORS, connect_to_engine
from components.common.revision import REVISION_LABEL, code_commit
from components.common.threads import in_background
from components.dataset.sources import LOGIN_VARIABLE, LocalArchive, LocalFolder, Synthetic, parse_source
from components.tracking.store import database_of
from dualgan.errors import BadInput, DualGANError, first_line
from dualgan.options import is_path
from pipelines.local_tasks import POLL_SECONDS, Task
from pipelines.profile import Profile
from pipelines.run_state import RunState

LABEL = "dualgan-parity.run"
# Where the images have the code, and so a committed file of checksums.
CODE = Path("/opt/dualgan-parity")
# Of an image that was built with no other: a run that root starts belongs to it, since nothing there runs as root.
IMAGE_USER = (1000, 1000)
# What a user's environment says of servers and their passwords.
PASSED_ON = ("AWS_", "MLFLOW_", LOGIN_VARIABLE)
NPU_DEVICES = ("davinci_manager", "devmm_svm", "hisi_hdc", "davinci[0-9]*")
# For the rest of a container's output, after its end.
LOG_SECONDS = 10.0
NPU_FILES = ("/usr/local/Ascend/driver", "/usr/local/dcmi", "/usr/local/bin/npu-smi", "/etc/ascend_install.info")


def require_images(profile: Profile) -> None:
    """Raise BadInput for an image that is not on this machine: nothing is downloaded while a pipeline runs.

    One that was built from other code than this is said to be, and used.
    """
    client, here = connect_to_engine(), code_commit()
    for image in sorted({profile.image, *(leg.image or profile.image for leg in profile.legs)}):
        try:
            built = client.images.get(image).labels.get(REVISION_LABEL)
        except ImageNotFound:
            raise _missing(image) from None
        if built and here and built != here:
            print_status(f"image {image} is of revision {built}, this code of {here}; `make images` builds it anew")


@dataclass(frozen=True)
class Containers:
    """Runs a run's tasks in containers with ``settings``, which are those of docker-py's ``containers.create``."""

    client: docker.DockerClient
    user: tuple[int, int]
    settings: Mapping[str, Any]

    def run(self, task: Task, log: BinaryIO, check: Callable[[], None]) -> int:
        """Run a task's container to its end, as a TaskRunner does; one that vanishes has left nothing."""
        if _is_given(self.user):
            for folder in (task.folder.parent, task.folder):
                os.chown(folder, *self.user)
        try:
            # Unlike run, create pulls no image.
            container = self.client.containers.create(task.image, list(task.command), detach=True, **self.settings)
            try:
                container.start()
                with in_background("log", lambda _: _copy_output(container, log), LOG_SECONDS):
                    try:
                        while container.status != "exited":
                            time.sleep(POLL_SECONDS)
                            check()
                            container.reload()
                    finally:
                        # One that was to go on ends, and with it its output.
                        with contextlib.suppress(*ENGINE_ERRORS):
                            container.kill()
                return int(container.wait()["StatusCode"])
            finally:
                with contextlib.suppress(*ENGINE_ERRORS):
                    container.remove(force=True)
        except ImageNotFound:
            raise _missing(task.image) from None
        except NotFound:
            return 0
        except ENGINE_ERRORS as error:
            raise DualGANError(f"task {task.name}: Docker: {first_line(error)}") from None


@contextlib.contextmanager
def containers(run: RunState, folder: Path, variables: Mapping[str, str]) -> Iterator[Containers]:
    """Yield what runs the tasks of ``run`` with ``variables``; its containers are gone when the block is left."""
    client, database = connect_to_engine(), database_of(run.tracking_uri)
    others = [Path(variables["XDG_CACHE_HOME"]), *([database.parent] if database else [])]
    mounts = [_mount(path) for path in others] + [_mount(path, read_only=True) for path in _inputs(run)]
    lock = Path("datasets.lock").resolve()
    if lock.is_file():
        mounts.append(_mount(lock, CODE / lock.name, read_only=True))
    devices = {leg.device for leg in run.profile.legs}
    if "npu" in devices:
        # The driver of an Ascend card is the host's, and must be in the container as it is there.
        mounts += [_mount(Path(file), read_only=True) for file in NPU_FILES if Path(file).exists()]
    cards = [str(card) for pattern in NPU_DEVICES for card in sorted(Path("/dev").glob(pattern))]
    is_local = database and isinstance(parse_source(run.parameters.dataset), LocalFolder | LocalArchive | Synthetic)
    user = _user(client)
    settings = {
        "user": ":".join(map(str, user)),
        "read_only": True,
        "tmpfs": {"/tmp": "mode=1777"},
        # SELinux lets a container write where "z" has labelled what is there, which is the run's own.
        "volumes": {str(folder): {"bind": str(folder), "mode": "rw,z"}},
        "mounts": mounts,
        "devices": [f"{card}:{card}:rwm" for card in cards] if "npu" in devices else [],
        "device_requests": [DeviceRequest(count=-1, capabilities=[["gpu"]])] if "gpu" in devices else [],
        "network_mode": "none" if is_local else "host",
        # A check of a task's health would compete with it for time.
        "healthcheck": {"test": ["NONE"]},
        "labels": {LABEL: str(folder)},
        "environment": {
            **{name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)},
            **variables,
            "HOME": "/tmp",
        },
    }
    _give([folder, *others], user)
    try:
        yield Containers(client, user, settings)
    finally:
        remove_containers(client, folder)
        _give([folder, *others], user)


def remove_containers(client: docker.DockerClient, folder: Path) -> None:
    """Remove a run's containers: what a signal has ended, or a killed run has left."""
    label = f"{LABEL}={folder}"
    # A task's thread may be about to remove its own: what is listed need not be there next.
    with contextlib.suppress(*ENGINE_ERRORS):
        for container in client.containers.list(all=True, filters={"label": label}, ignore_removed=True):
            with contextlib.suppress(APIError):
                container.remove(force=True)


def _inputs(run: RunState) -> list[Path]:
    """Return files and folders of this machine that the tasks read."""
    dataset, record = parse_source(run.parameters.dataset), Path(run.profile.recorded_reference or "")
    checkpoint = run.parameters.options.get("init_from", "")
    found = [dataset.path] if isinstance(dataset, LocalFolder | LocalArchive) else []
    # A checkpoint is several files that begin with its name.
    found += [Path(checkpoint).parent] if is_path(checkpoint) else []
    return [*found, record.resolve()] if record.is_file() else found


def _user(client: docker.DockerClient) -> tuple[int, int]:
    """Return who starts the run; root of a rootless engine is nobody else, and for root it is the images' own user."""
    if "name=rootless" in (client.info().get("SecurityOptions") or ()):
        return 0, 0
    return (os.getuid(), os.getgid()) if os.getuid() else IMAGE_USER


def _is_given(user: tuple[int, int]) -> bool:
    """Return whether what this process has made must first belong to ``user`` for its containers to write there."""
    return os.getuid() == 0 and user == IMAGE_USER


def _give(folders: Iterable[Path], user: tuple[int, int]) -> None:
    """Have what root has made belong to the images' user, who goes on with it."""
    if _is_given(user):
        for folder in folders:
            for parent, names, files in os.walk(folder):
                for name in (".", *names, *files):
                    # Other processes use the store and the cache.
                    with contextlib.suppress(FileNotFoundError):
                        os.chown(Path(parent, name), *user, follow_symlinks=False)


def _mount(path: Path, target: Path | None = None, read_only: bool = False) -> Mount:
    if not read_only:
        path.mkdir(parents=True, exist_ok=True)
    return Mount(target=str(target or path), source=str(path), type="bind", read_only=read_only)


def _copy_output(container: Container, log: BinaryIO) -> None:
    # What is wrong with the engine, the wait for the container says.
    with contextlib.suppress(Exception):
        log.writelines(container.logs(stream=True, follow=True))


def _missing(image: str) -> BadInput:
    return BadInput(f"image {image}: not on this machine; `make images` builds it, or docker pull it")
