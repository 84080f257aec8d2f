"""Pack this Python as a standalone build, and list it as uv's metadata lists them."""

import hashlib
import json
import platform
import tarfile
from pathlib import Path

FOLDER = Path("/standalone")
PREFIX = Path("/usr/local")


def main() -> None:
    archive = FOLDER / "python.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for folder in ("bin", "lib"):
            tar.add(PREFIX / folder, f"python/{folder}")
    major, minor, patch = platform.python_version_tuple()
    entry = {
        "name": "cpython",
        "arch": {"family": platform.machine(), "variant": None},
        "os": "linux",
        "libc": "gnu",
        "major": int(major),
        "minor": int(minor),
        "patch": int(patch),
        "prerelease": "",
        "url": archive.as_uri(),
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "variant": None,
        "build": "1",
    }
    name = f"cpython-{platform.python_version()}-linux-{platform.machine()}-gnu"
    (FOLDER / "downloads.json").write_text(json.dumps({name: entry}))


main()
