"""Which checksum a source must have, and who says so."""

import re
from typing import NamedTuple

from components.dataset import checksums
from components.dataset.options import FetchOptions
from components.dataset.sources import Download, S3Location, Source
from dualgan.errors import BadInput, DualGANError


class Expectation(NamedTuple):
    """A SHA-256 (hex) of an archive, of a dataset that comes without one its digest; ``said_by`` is for messages."""

    checksum: str
    said_by: str


def expectation(wanted: Source, options: FetchOptions) -> Expectation | None:
    """What ``--sha256``, the catalogue or the file of first-use checksums says of a source, the first that does.

    Raises BadInput where the option is no SHA-256, or the file cannot be read as one of checksums.
    """
    if options.sha256:
        checksum = options.sha256.strip().lower().removeprefix("sha256:")
        if not re.fullmatch(r"[0-9a-f]{64}", checksum):
            raise BadInput(f"--sha256 {options.sha256}: not a SHA-256, which has 64 hexadecimal digits")
        return Expectation(checksum, "--sha256")
    if isinstance(wanted, Download) and wanted.sha256:
        return Expectation(wanted.sha256, "the catalogue")
    if options.lock is not None and is_remote(wanted):
        for kind in ("sha256", "digest"):
            checksum = checksums.recorded(options.lock, wanted.source, kind) or ""
            if checksum:
                return Expectation(checksum, f"{options.lock}, where its first use is recorded,")
    return None


def is_remote(wanted: Source) -> bool:
    """Whether others keep the source: then what it was at first use is worth a record."""
    return isinstance(wanted, Download | S3Location)


def require(expected: Expectation | None, kind: str, actual: str, shown: str) -> None:
    """Raise DualGANError where ``actual``, the "sha256" of an archive or "digest" of a dataset, is not as expected."""
    if expected is not None and actual != expected.checksum:
        what = "SHA-256" if kind == "sha256" else "the digest"
        raise DualGANError(
            f"{shown}: has {what} {actual}, but {expected.said_by} says {expected.checksum}; "
            "it is damaged or another one"
        )
