"""Options of a fetch, as the command line and the library take them."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

DEFAULT_LOCK = Path("datasets.lock")
TRUST, LIMITS, TRANSFER = "Trust", "Limits", "Transfer"
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def _positive(text: str | float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise typer.BadParameter(f"'{text}' is not a number above 0")
    return number


def _size(text: str | float) -> int:
    found = re.fullmatch(r"(\d{1,18})([KMGT]?)(?:I?B)?", str(text).upper())
    if not found:
        raise typer.BadParameter(f"'{text}' is not a number of bytes such as 500M or 64G")
    return int(found[1]) * UNITS[found[2]]


def option(panel: str, metavar: str, text: str, **settings: Any) -> Any:
    """Return what typer has to know of an option that stands under the heading ``panel``."""
    return typer.Option(rich_help_panel=panel, metavar=metavar, help=text, **settings)


def flag(name: str, text: str) -> Any:
    return typer.Option(name, rich_help_panel=TRUST, help=text)


MaxPixels = Annotated[int, option(LIMITS, "N", "Of an image.", min=0)]
MinSide = Annotated[int, option(LIMITS, "PIXELS", "Of an image.", min=0)]


@dataclass(frozen=True)
class FetchOptions:
    """How to fetch; ``lock`` is None for no file of first-use checksums."""

    sha256: Annotated[str | None, option(TRUST, "HEX", "What the archive, or a folder's digest, must have.")] = None
    lock: Path | None = None
    quarantine: Annotated[
        bool,
        flag("--quarantine", "Set images that cannot be used aside, in DESTINATION/quarantine, instead of failing."),
    ] = False
    max_files: Annotated[int, option(LIMITS, "N", "In an archive.", min=0)] = 1_000_000
    max_size: Annotated[
        int,
        option(LIMITS, "BYTES", "Transferred or unpacked; K, M, G, T may follow.", parser=_size, show_default="64G"),
    ] = 64 << 30
    max_ratio: Annotated[float, option(LIMITS, "X", "Unpacked to packed.", parser=_positive)] = 200.0
    # The trainer's own limit, dualgan.pictures.MAX_PIXELS; that module takes long to import.
    max_pixels: MaxPixels = 89_478_485
    min_side: MinSide = 8
    retries: Annotated[int, option(TRANSFER, "N", "In a row without a byte.", min=0)] = 4
    idle_timeout: Annotated[
        float,
        option(TRANSFER, "SECONDS", "Give up if nothing comes for so long, whatever the retries.", parser=_positive),
    ] = 120.0
    min_rate: Annotated[
        int,
        option(
            TRANSFER,
            "BYTES",
            "Give up if fewer come in a second, over the time of --idle-timeout.",
            parser=_size,
            show_default="1K",
        ),
    ] = 1024
    jobs: Annotated[int, option(TRANSFER, "N", "Requests to S3 at once.", min=1)] = 8
