"""Options of a fetch: checksums, limits, how to transfer."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """What a source may hold.

    An archive beyond ``files``, ``size`` (bytes, transferred or unpacked) or ``ratio`` (unpacked to packed) is refused;
    an image of more than ``pixels`` or with a side below ``side`` pixels is a bad file.
    """

    files: int = 1_000_000
    size: int = 64 << 30
    ratio: float = 200.0
    # The trainer's own limit, dualgan.pictures.MAX_PIXELS; that module takes long to import.
    pixels: int = 89_478_485
    side: int = 8


@dataclass(frozen=True)
class TransferOptions:
    """When a transfer is given up, and how many requests to S3 are under way at once (``jobs``).

    It ends after ``retries`` in a row that bring no byte, after ``idle_timeout`` seconds without one, or if it brings
    fewer than ``min_rate`` bytes a second over as long a time.
    """

    retries: int = 4
    idle_timeout: float = 120.0
    min_rate: float = 1024.0
    jobs: int = 8


@dataclass(frozen=True)
class FetchOptions:
    """How to fetch.

    ``sha256`` is what the archive must have; for a source that is no archive, what its digest must be. ``lock`` names
    the file of first-use checksums, None for none. ``quarantine`` sets bad images aside instead of failing.
    """

    sha256: str | None = None
    lock: Path | None = None
    quarantine: bool = False
    limits: Limits = field(default_factory=Limits)
    transfer: TransferOptions = field(default_factory=TransferOptions)
