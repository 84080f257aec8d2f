"""Images of a single file, for any architecture, as `docker load` takes them."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

from components.common.revision import REVISION_LABEL
from tests.images.built import client


def _archive(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


# What tests build is called apart from a user's images.
PREFIX = "dualgan-parity-test"


def remove_images(registry: str) -> None:
    """Take away what a test has built and pushed."""
    for image in client().images.list():
        for tag in image.tags:
            if tag.startswith((f"{PREFIX}/", f"{registry}/")):
                client().images.remove(tag, force=True)


def make_image(tag: str, revision: str, architecture: str = "amd64") -> None:
    """Put an image into the engine, whose content is its name and architecture."""
    layer = _archive({"content": f"{tag} {architecture}".encode()})
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Labels": {REVISION_LABEL: revision}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]
    files = {"config.json": config, "manifest.json": manifest}
    client().images.load(
        _archive({"layer.tar": layer, **{name: json.dumps(one).encode() for name, one in files.items()}})
    )
