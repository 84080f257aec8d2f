"""Checksums of first use: what a source was when it was first fetched, in a file that belongs under version control.

    {"http://host/faces.zip": {"sha256": "..."}, "s3://bucket/faces": {"digest": "..."}}

``sha256`` is the archive's, ``digest`` that of a dataset that comes without one. An entry is written where a checksum
is known from nowhere else, and later fetches must match it; whoever means to accept another content removes it.
"""

import json
import logging
from pathlib import Path

from components.dataset.flock import locked
from dualgan.errors import BadInput
from dualgan.run_folder import write_json

DEFAULT = Path("datasets.lock")

log = logging.getLogger(__name__)


def recorded(lock: Path, source: str, kind: str) -> str | None:
    """The checksum of ``kind`` ("sha256" or "digest") that ``source`` had when it was first fetched."""
    entry = _read(lock).get(source, {})
    return entry.get(kind)


def record(lock: Path, source: str, kind: str, checksum: str) -> None:
    """Remember ``checksum`` unless ``source`` has one. Where the file cannot be written that is logged, no more: in
    a container it is part of a read-only image.
    """
    try:
        with locked(lock.with_name(f".{lock.name}.lock"), f"{lock}: waiting for another process that writes it"):
            entries = _read(lock)
            if source in entries:
                return
            write_json(lock, entries | {source: {kind: checksum}})
    except OSError as error:
        log.info("%s: not recorded there (%s): %s %s of %s", lock, error.strerror or error, kind, checksum, source)
        return
    log.info("%s: recorded %s %s; commit it", lock, kind, checksum)


def _read(lock: Path) -> dict[str, dict[str, str]]:
    try:
        text = lock.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    try:
        entries = json.loads(text)
        return {str(source): {str(k): str(v) for k, v in entry.items()} for source, entry in entries.items()}
    except (ValueError, AttributeError) as error:
        raise BadInput(f"{lock}: not a file of checksums ({error}); restore it, or remove it") from None
