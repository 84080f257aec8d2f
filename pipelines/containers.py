"""The containers of a pipeline run on this machine: what they are allowed, what they see, and who they are."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from docker.types import DeviceRequest, Mount
from kfp import local

from components.dataset.sources import LOGIN_VARIABLE, LocalArchive, LocalFolder, Synthetic, parse_source
from components.tracking.store import database_of, hand_over_login, resolve_tracking_uri, store_uri
from dualgan.errors import BadInput, DualGANError
from dualgan.options import is_path
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


@contextlib.contextmanager
def container_runner(
    profile: Profile, parameters: Mapping[str, Any], folder: Path, variables: Mapping[str, str]
) -> Iterator[local.DockerRunner]:
    """KFP's runner for ``profile``'s tasks, whose containers are gone when it is left, however that comes.

    parameters: as ``absolute`` has them. folder: of the run, which KFP mounts itself. variables: of the processes.
    """
    client = connect_to_engine()
    mounts = [_writable(Path(variables["XDG_CACHE_HOME"]))]
    database = database_of(parameters["tracking_uri"])
    if database:
        mounts.append(_writable(database.resolve().parent))
    mounts += [_read_only(path, path) for path in _inputs(profile, parameters)]
    lock = Path("datasets.lock").resolve()
    if lock.is_file():
        mounts.append(_read_only(lock, CODE / lock.name))
    user = _user(client)
    if user == IMAGE_USER:
        for path in (folder, *(Path(mount["Source"]) for mount in mounts if not mount["ReadOnly"])):
            _give(path, *user)
    passed_on = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    try:
        yield local.DockerRunner(
            user=":".join(map(str, user)),
            read_only=True,
            tmpfs={"/tmp": "mode=1777"},
            mounts=mounts + _driver_mounts(profile),
            devices=_devices(profile),
            device_requests=_gpus(profile),
            network_mode="host" if _needs_network(profile, parameters, database) else "none",
            # One process computes; a check of its health would compete with it for time.
            healthcheck={"test": ["NONE"]},
            labels={LABEL: str(folder)},
            environment={**passed_on, **variables, "HOME": "/tmp"},
        )
    finally:
        remove_containers(client, folder)


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


def _give(path: Path, uid: int, gid: int) -> None:
    os.chown(path, uid, gid)
    for below in path.rglob("*"):
        os.chown(below, uid, gid, follow_symlinks=False)


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
