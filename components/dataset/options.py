"""What a fetch may be told besides its source: checksums, limits, patience."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """What a source may hold. An archive beyond ``files``, ``size`` (bytes unpacked) or ``ratio`` (unpacked to packed)
    is refused; an image of more than ``pixels`` or with a side below ``side`` pixels is a bad file.
    """

    files: int = 1_000_000
    size: int = 64 << 30
    ratio: float = 200.0
    # Where Pillow begins to warn of a decompression bomb: a quarter of a GiB as RGB.
    pixels: int = 89_478_485
    side: int = 8


@dataclass(frozen=True)
class Patience:
    """``retries`` in a row that bring no byte, and ``stall`` seconds without one, end a transfer; ``jobs`` requests to
    S3 are under way at once.
    """

    retries: int = 4
    stall: float = 120.0
    jobs: int = 8


@dataclass(frozen=True)
class FetchOptions:
    """``sha256`` is what the archive must have; for a source that is no archive, what its digest must be. ``lock``
    names the file of first-use checksums, None for none. ``quarantine`` sets bad images aside instead of failing.
    """

    sha256: str | None = None
    lock: Path | None = None
    quarantine: bool = False
    limits: Limits = field(default_factory=Limits)
    patience: Patience = field(default_factory=Patience)
