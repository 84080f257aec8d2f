"""The containers of a pipeline run on this machine: what they are allowed, what they see, and who they are."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import DeviceRequest, Mount

from components.dataset.sources import LOGIN_VARIABLE, LocalArchive, LocalFolder, Synthetic, parse_source
from components.tracking.store import database_of, hand_over_login, resolve_tracking_uri, store_uri
from dualgan.errors import BadInput, DualGANError
from dualgan.options import is_path
from pipelines.local_tasks import POLL_SECONDS, Task
from pipelines.profile import Profile

LABEL = "dualgan-parity.run"
# Where the images have the code, and so a committed file of checksums.
CODE = Path("/opt/dualgan-parity")
# Of an image that was built with no other: a run that root starts belongs to it, since nothing there runs as root.
IMAGE_USER = (1000, 1000)
# The trainer's option that names files of this machine.
CHECKPOINT = "init_from"
# What a user's environment says of servers and their passwords.
PASSED_ON = ("AWS_", "MLFLOW_", LOGIN_VARIABLE)
NPU_DEVICES = ("davinci_manager", "devmm_svm", "hisi_hdc", "davinci[0-9]*")
NPU_FILES = ("/usr/local/Ascend/driver", "/usr/local/dcmi", "/usr/local/bin/npu-smi", "/etc/ascend_install.info")


def images(profile: Profile) -> list[str]:
    """The images of all tasks of ``profile``."""
    return sorted({profile.image, *(leg.image or profile.image for leg in profile.legs)})


def connect_to_engine() -> docker.DockerClient:
    """Return a client of this machine's Docker engine. Raises DualGANError if none answers."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        raise DualGANError(f"no Docker engine answers ({_first_line(error)}); start one, or set DOCKER_HOST") from None
    return client


def check_images(client: docker.DockerClient, profile: Profile) -> None:
    """Raise BadInput for an image that is not on this machine: nothing is downloaded while a pipeline runs."""
    for image in images(profile):
        try:
            client.images.get(image)
        except ImageNotFound:
            raise BadInput(f"image {image}: not on this machine; `make images` builds it, or docker pull it") from None


def absolute(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """``parameters`` of the pipeline as they mean the same in a container: whole paths, and a store that is named."""
    dataset = local_source(parameters["dataset"])
    options = dict(parameters.get("options", {}))
    if is_path(options.get(CHECKPOINT, "")):
        options[CHECKPOINT] = str(Path(options[CHECKPOINT]).resolve())
    uri = resolve_tracking_uri(parameters.get("tracking_uri"))
    database = database_of(uri)
    return {
        **parameters,
        "dataset": str(dataset) if dataset else parameters["dataset"],
        "options": options,
        "tracking_uri": store_uri(database.parent) if database else hand_over_login(uri),
    }


@dataclass(frozen=True)
class Containers:
    """Runs a run's tasks in containers with ``settings``, which are those of docker-py's ``containers.run``."""

    client: docker.DockerClient
    user: tuple[int, int]
    settings: Mapping[str, Any]

    def run(self, task: Task, log: BinaryIO, check: Callable[[], None]) -> int:
        """Run a task's container to its end, as a TaskRunner does; one that vanishes has left nothing."""
        if self.user == IMAGE_USER:
            for folder in (task.folder.parent, task.folder):
                os.chown(folder, *self.user)
        try:
            container = self.client.containers.run(task.image, list(task.command), detach=True, **self.settings)
            try:
                while container.status != "exited":
                    time.sleep(POLL_SECONDS)
                    check()
                    container.reload()
                log.writelines(container.logs(stream=True))
                return int(container.wait()["StatusCode"])
            finally:
                with contextlib.suppress(APIError):
                    container.remove(force=True)
        except NotFound:
            return 0
        except DockerException as error:
            raise DualGANError(f"task {task.name}: Docker: {_first_line(error)}") from None


@contextlib.contextmanager
def containers(
    profile: Profile, parameters: Mapping[str, Any], folder: Path, variables: Mapping[str, str]
) -> Iterator[Containers]:
    """What runs ``profile``'s tasks in containers, which are gone when it is left, however that comes.

    parameters: as ``absolute`` has them. folder: of the run. variables: of the processes.
    """
    client = connect_to_engine()
    mounts = [_writable(folder), _writable(Path(variables["XDG_CACHE_HOME"]))]
    database = database_of(parameters["tracking_uri"])
    if database:
        mounts.append(_writable(database.resolve().parent))
    mounts += [_read_only(path, path) for path in _inputs(profile, parameters)]
    lock = Path("datasets.lock").resolve()
    if lock.is_file():
        mounts.append(_read_only(lock, CODE / lock.name))
    user = _user(client)
    written = [Path(mount["Source"]) for mount in mounts if not mount["ReadOnly"]]
    if user == IMAGE_USER:
        _give(written, user)
    passed_on = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    settings = {
        "user": ":".join(map(str, user)),
        "read_only": True,
        "tmpfs": {"/tmp": "mode=1777"},
        "mounts": mounts + _driver_mounts(profile),
        "devices": _devices(profile),
        "device_requests": _gpus(profile),
        "network_mode": "host" if _needs_network(profile, parameters, database) else "none",
        # A check of a task's health would compete with it for time.
        "healthcheck": {"test": ["NONE"]},
        "labels": {LABEL: str(folder)},
        "environment": {**passed_on, **variables, "HOME": "/tmp"},
    }
    try:
        yield Containers(client, user, settings)
    finally:
        remove_containers(client, folder)
        if user == IMAGE_USER:
            _give(written, user)


def remove_containers(client: docker.DockerClient, folder: Path) -> None:
    """End what runs still: a signal ended the run, and KFP leaves its containers to themselves."""
    label = f"{LABEL}={folder}"
    # The engine removes the last task's container itself, and may be about to: what is listed need not be there next.
    for container in client.containers.list(all=True, filters={"label": label}, ignore_removed=True):
        with contextlib.suppress(APIError):
            container.remove(force=True)


def local_source(source: str) -> Path | None:
    """The folder or archive on this machine that a dataset's source names, if it names one."""
    parsed = parse_source(source)
    return parsed.path if isinstance(parsed, LocalFolder | LocalArchive) else None


def _inputs(profile: Profile, parameters: Mapping[str, Any]) -> list[Path]:
    """Files and folders of this machine that the tasks read."""
    dataset = local_source(parameters["dataset"])
    checkpoint = {**profile.options, **parameters["options"]}.get(CHECKPOINT, "")
    record = Path(profile.recorded_reference or "")
    found = [dataset] if dataset else []
    # A checkpoint is several files that begin with its name.
    found += [Path(checkpoint).resolve().parent] if is_path(checkpoint) else []
    return [*found, record.resolve()] if record.is_file() else found


def _needs_network(profile: Profile, parameters: Mapping[str, Any], database: Path | None) -> bool:
    source = parse_source(parameters["dataset"])
    return database is None or not isinstance(source, LocalFolder | LocalArchive | Synthetic)


def _user(client: docker.DockerClient) -> tuple[int, int]:
    """Who starts the run; root of a rootless engine is nobody else, and for root itself it is the images' own user."""
    if "name=rootless" in (client.info().get("SecurityOptions") or ()):
        return 0, 0
    return (os.getuid(), os.getgid()) if os.getuid() else IMAGE_USER


def _give(folders: Iterable[Path], user: tuple[int, int]) -> None:
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, *user, follow_symlinks=False)


def _writable(path: Path) -> Mount:
    path.mkdir(parents=True, exist_ok=True)
    return Mount(target=str(path), source=str(path), type="bind")


def _read_only(path: Path, target: Path) -> Mount:
    return Mount(target=str(target), source=str(path), type="bind", read_only=True)


def _gpus(profile: Profile) -> list[DeviceRequest]:
    wanted = any(leg.device == "gpu" for leg in profile.legs)
    return [DeviceRequest(count=-1, capabilities=[["gpu"]])] if wanted else []


def _devices(profile: Profile) -> list[str]:
    if not any(leg.device == "npu" for leg in profile.legs):
        return []
    found = [device for pattern in NPU_DEVICES for device in sorted(Path("/dev").glob(pattern))]
    return [f"{device}:{device}:rwm" for device in found]


def _driver_mounts(profile: Profile) -> list[Mount]:
    """The driver of an Ascend card is the host's, and must be in the container as it is there."""
    if not any(leg.device == "npu" for leg in profile.legs):
        return []
    return [_read_only(Path(file), Path(file)) for file in NPU_FILES if Path(file).exists()]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
