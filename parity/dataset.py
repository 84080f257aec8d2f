"""Commands of `parity dataset`: make dataset folders, check them, put them into a bucket."""

import logging
import signal
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.common.cli import command, new_app
from components.common.console import print_line
from components.common.processes import terminations_said
from components.dataset.options import DEFAULT_LOCK, TRUST, FetchOptions, MaxPixels, MinSide, flag, option
from components.dataset.sources import CATALOGUE, FORMS, LAYOUTS, SERVER_NOTE

if TYPE_CHECKING:
    from dualgan.dataset_folder import Description

MAKE, LOOK = "Make one", "Look at one"

_resumable = partial(
    terminations_said,
    signal.SIGINT,
    signal.SIGTERM,
    advice="; the same command goes on with what was transferred",
)

app = new_app(
    "Make a dataset folder, {train,val}/{A,B}/IMAGE and dataset.json, of a SOURCE: a name of the catalogue, a URL or "
    "file of an archive, s3://BUCKET/KEY, a folder, or synthetic; `parity dataset list` explains each.\n\n"
    "Exit codes: 0 done, 1 failed, 2 bad input."
)


class _Lines(logging.Handler):
    """Standard error is for the one line of an error, and for progress bars on a terminal: the log goes beside it."""

    def emit(self, record: logging.LogRecord) -> None:
        print_line(record.getMessage())


@app.callback()
def prepare() -> None:
    logging.basicConfig(level=logging.INFO, handlers=[_Lines()])
    for noisy in ("botocore", "boto3", "s3transfer", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


Source = Annotated[str, typer.Argument(metavar="SOURCE", help="As `parity dataset list` explains.")]


@dataclass(frozen=True)
class Fetching(FetchOptions):
    """Options of each command that reads a source."""

    lock: Annotated[
        Path | None,
        option(
            TRUST, "FILE", "Where checksums of first use are recorded, and checked if no other is known; commit it."
        ),
    ] = DEFAULT_LOCK
    no_lock: Annotated[bool, flag("--no-lock", "Neither record checksums of first use nor check them.")] = False

    def resolved(self) -> FetchOptions:
        """Return them as the library takes them."""
        return replace(self, lock=None) if self.no_lock else self


# Drawing and downloading need libraries that take longer to import than `list` and `--help` to run.
@command(app, "fetch", MAKE, "parity dataset fetch synthetic faces")
def fetch(
    source: Source,
    destination: Annotated[Path, typer.Argument(metavar="DESTINATION", help="A missing or empty folder.")],
    fetching: Fetching,
) -> int:
    """Make DESTINATION the dataset folder of SOURCE, whole or not at all.

    Every image is opened and checked. A destination that holds this dataset already is left alone.
    """
    from components.dataset.fetch import fetch as fetch_source

    with _resumable():
        return _print(fetch_source(source, destination, fetching.resolved()))


@command(app, "mirror", MAKE, "parity dataset mirror faces s3://team/faces")
def mirror(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="As of fetch; a dataset folder is verified and not copied.")
    ],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="s3://bucket/prefix, with nothing else below it.")],
    fetching: Fetching,
) -> int:
    """Put a dataset into a bucket of your own.

    SOURCE is fetched and verified, and its images and dataset.json are written below TARGET, which is a source from
    then on. Where S3 is say the AWS_* variables.
    """
    from components.dataset.fetch import mirror as mirror_source

    with _resumable():
        return _print(mirror_source(source, target, fetching.resolved()))


@command(app, "verify", LOOK, "parity dataset verify faces")
def verify(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A dataset folder.")],
    max_pixels: MaxPixels = FetchOptions.max_pixels,
    min_side: MinSide = FetchOptions.min_side,
) -> int:
    """Check that a dataset folder is what its dataset.json describes, and open every image.

    Exit code 1 if the images are not those that dataset.json describes, or one cannot be used.
    """
    from components.dataset.checksums import verify as verify_folder

    with _resumable():
        return _print(verify_folder(folder, FetchOptions(max_pixels=max_pixels, min_side=min_side)))


@command(app, "info", LOOK, "parity dataset info faces")
def info(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A dataset folder, or a name of the catalogue.")],
) -> int:
    """Print what a dataset folder holds and check that it is unchanged.

    Exit code 1 if the images are not those that dataset.json describes. For a name of the catalogue, print what is
    known of it.
    """
    if folder in CATALOGUE and not Path(folder).exists():
        entry = CATALOGUE[folder]
        checksum = entry.sha256 or "never published; recorded at the first fetch"
        lines = [
            f"name    {folder}{f' ({entry.note})' if entry.note else ''}",
            *(f"source  {url}" for url in entry.urls),
        ]
        lines += [f"sha256  {checksum}", *([f"note    {entry.advice}"] if entry.advice else [])]
        print_line("\n".join(lines))
        return 0
    from components.dataset.checksums import check

    with _resumable():
        return _print(check(Path(folder)))


@command(app, "list", LOOK, "parity dataset list")
def list_sources() -> int:
    """List the catalogue and the forms of a source."""
    lines = ["A source is one of", *(f"  {form:<34}  {meaning}" for form, meaning in FORMS), LAYOUTS, ""]
    lines += [
        "The catalogue (lambda_A and lambda_B as published)",
        f"  {'name':<16}{'lambda_A':>8}  {'lambda_B':>8}  note",
    ]
    for name, entry in CATALOGUE.items():
        lambda_a, lambda_b = (f"{value:g}" for value in entry.lambdas) if entry.lambdas else ("-", "-")
        lines.append(f"  {name:<16}{lambda_a:>8}  {lambda_b:>8}  {entry.note}".rstrip())
    print_line("\n".join([*lines, "", f"Note on all but pix2pix-*: {SERVER_NOTE}."]))
    return 0


def _print(description: "Description") -> int:
    images = ", ".join(f"{place} {number}" for place, number in sorted(description.counts.items()))
    print_line(f"name    {description.name}\nsource  {description.source}\nimages  {images}")
    print_line(f"digest  {description.digest}")
    return 0
