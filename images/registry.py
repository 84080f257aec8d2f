"""Images in a registry: push them, join those of several architectures, and ask for the digest behind a tag."""

import contextlib
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from docker.errors import ImageNotFound

from components.common.docker_engine import ENGINE_ERRORS, connect_to_engine
from components.common.files import write_file
from components.common.image_list import PushedImage, name_in
from components.common.revision import REVISION_LABEL, UNKNOWN, code_commit
from dualgan.errors import BadInput, DualGANError, first_line
from images.build import BASES, image_tag, load_bases, run_docker

# What an engine takes for a registry of this machine, without TLS; `docker manifest` must be told.
LOOPBACK = ("localhost", "127.0.0.1")


def push(name: str, registry: str, tag: str) -> PushedImage:
    """Push the image ``name`` as it is built here. Raises BadInput if it is not, or from another revision."""
    local, remote = image_tag(name), name_in(registry, name, tag)
    try:
        labels = connect_to_engine().images.get(local).labels
    except ImageNotFound:
        raise BadInput(f"image {local}: not on this machine; build it, without --no-build") from None
    revision, wanted = labels.get(REVISION_LABEL, UNKNOWN), code_commit() or UNKNOWN
    if revision != wanted:
        raise BadInput(f"image {local}: of revision {revision}, and the code is {wanted}; build it, without --no-build")
    run_docker(["docker", "tag", local, remote], remote)
    run_docker(["docker", "push", remote], remote)
    return _pushed(name, remote, revision)


def join(lists: Sequence[Mapping[str, PushedImage]], tag: str) -> Iterator[PushedImage]:
    """Give each image of ``lists`` one name and ``tag`` for all its architectures, and yield what it is then.

    Raises BadInput for parts of one image that do not belong together.
    """
    for name in sorted(set().union(*lists)):
        parts = [images[name] for images in lists if name in images]
        first, architectures = parts[0], [one for part in parts for one in part.architectures]
        origins = sorted({f"{part.repository} of revision {part.revision}" for part in parts})
        if len(origins) > 1:
            raise BadInput(f"image {name}: {' and '.join(origins)} are not one image")
        if len(set(architectures)) < len(architectures):
            raise BadInput(f"image {name}: the same architecture twice ({', '.join(architectures)})")
        registry, host = first.repository.rsplit("/", 2)[0], first.repository.partition("/")[0].partition(":")[0]
        remote = name_in(registry, name, tag)
        insecure = ["--insecure"] if host in LOOPBACK else []
        references = [part.reference for part in parts]
        # An interrupted merge leaves its list on this machine, which `create` would add to or refuse.
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(["docker", "manifest", "rm", remote], capture_output=True, check=False)
        run_docker(["docker", "manifest", "create", *insecure, remote, *references], remote)
        run_docker(["docker", "manifest", "push", "--purge", *insecure, remote], remote)
        joined = _pushed(name, remote, first.revision)
        if sorted(joined.architectures) != sorted(architectures):
            there = ", ".join(joined.architectures)
            raise DualGANError(f"{remote}: is for {there} in its registry; another merge came between: merge again")
        yield joined


def pin_bases(names: Sequence[str] = (), file: Path = BASES) -> Iterator[str]:
    """Write into ``file`` what the tags of its bases, or of those named, stand for now; yield a line for each.

    Raises BadInput for an unknown name and, after all others are written, DualGANError for those that have no answer.
    """
    bases = load_bases(file)
    for name in names:
        if name not in bases:
            raise BadInput(f"base {name}: unknown; known are {', '.join(bases)}")
    silent = []
    for name in names or bases:
        base = bases[name]
        try:
            digest, _ = _content(base.image)
        except DualGANError as error:
            silent.append(str(error))
            continue
        place = re.compile(rf"^({name}:\n(?:  .*\n)*?  digest: ).*$", re.MULTILINE)
        text, count = place.subn(rf'\g<1>"{digest}"', file.read_text(encoding="utf-8"))
        if not count:
            raise BadInput(f"{file}: {name}: write its digest on a line of its own")
        write_file(file, text)
        yield f"{name}: {base.image} is {digest}{' as before' if digest == base.digest else ''}"
    if silent:
        raise DualGANError(" | ".join(silent))


def _pushed(name: str, remote: str, revision: str) -> PushedImage:
    digest, architectures = _content(remote)
    reference = f"{remote.rpartition(':')[0]}@{digest}"
    return PushedImage(name=name, reference=reference, architectures=architectures, revision=revision)


def _content(remote: str) -> tuple[str, tuple[str, ...]]:
    """Return the digest and the architectures of what a registry has; the engine asks it, with docker's logins."""
    try:
        found = connect_to_engine().images.get_registry_data(remote)
    except ENGINE_ERRORS as error:
        said = getattr(error, "explanation", None) or first_line(error)
        raise DualGANError(f"{remote}: its registry has no answer ({said}); is `docker login` due?") from None
    return found.id, tuple(sorted(platform["architecture"] for platform in found.attrs["Platforms"]))
