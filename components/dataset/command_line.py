"""What the dataset step's command line understands."""

import argparse
import re
import sys
from argparse import Namespace
from pathlib import Path
from typing import NoReturn

from components.dataset.checksums import DEFAULT
from components.dataset.options import FetchOptions, Limits, Patience
from components.dataset.sources import FORMS, LAYOUTS
from dualgan.errors import EXIT_BAD_INPUT

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"error: {message}; see `{self.prog} --help`", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_BAD_INPUT)


def parser() -> Parser:
    forms = "\n".join(f"  {form:<34}  {meaning}" for form, meaning in FORMS)
    sources = f"a SOURCE is one of\n{forms}\n{LAYOUTS}"
    top = Parser(
        prog="python -m components.dataset",
        description="Make a dataset folder: {train,val}/{A,B}/*.{jpg,jpeg,png} and dataset.json.",
        epilog=f"{sources}\n\nexit codes: 0 done, 1 failed, 2 bad input",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="{fetch,verify,mirror,list,info}")
    fetching = commands.add_parser(
        "fetch",
        help="make a dataset folder from a source",
        description=(
            "Make DESTINATION the dataset folder of SOURCE, whole or not at all.\n"
            "Every image is opened and checked.\nA destination that holds this dataset already is left alone."
        ),
        epilog=sources,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fetching.add_argument("source", metavar="SOURCE", help="what to fetch, see below")
    fetching.add_argument("destination", metavar="DESTINATION", type=Path, help="a missing or empty folder")
    _add_fetch_options(fetching)
    verifying = commands.add_parser(
        "verify",
        help="check that a dataset folder is what its dataset.json describes, and open every image",
        description="Exit code 1 where the images are not those that dataset.json describes, or one cannot be used.",
    )
    verifying.add_argument("folder", metavar="FOLDER", type=Path, help="a dataset folder")
    _add_image_limits(verifying)
    mirroring = commands.add_parser(
        "mirror",
        help="put a dataset into a bucket of your own",
        description=(
            "Fetch and verify SOURCE, and write its images and dataset.json below TARGET,\n"
            "which is a source from then on. Where S3 is say the AWS_* variables."
        ),
        epilog=f"{sources}\nor a dataset folder, which is verified and not copied",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mirroring.add_argument("source", metavar="SOURCE", help="what to mirror, see below")
    mirroring.add_argument("target", metavar="TARGET", help="s3://bucket/prefix, with nothing else below it")
    _add_fetch_options(mirroring)
    commands.add_parser("list", help="list the catalogue and the forms of a source")
    info = commands.add_parser(
        "info",
        help="say what a dataset folder holds and check that it is unchanged",
        description=(
            "Print what dataset.json says. Exit code 1 where the images are not those it describes. "
            "For a name of the catalogue, print what is known of it."
        ),
    )
    info.add_argument("folder", metavar="FOLDER", help="a dataset folder, or a name of the catalogue")
    return top


def fetch_options(options: Namespace) -> FetchOptions:
    return FetchOptions(
        sha256=options.sha256,
        lock=None if options.no_lock else options.lock,
        quarantine=options.quarantine,
        limits=limits(options),
        patience=Patience(options.retries, options.stall_limit, options.jobs),
    )


def limits(options: Namespace) -> Limits:
    """``verify`` knows the limits of images only."""
    images = Limits(pixels=options.max_pixels, side=options.min_side)
    if not hasattr(options, "max_files"):
        return images
    return Limits(options.max_files, options.max_size, options.max_ratio, images.pixels, images.side)


def _add_fetch_options(command: argparse.ArgumentParser) -> None:
    patience, archive = Patience(), Limits()
    trust = command.add_argument_group("trust")
    trust.add_argument("--sha256", metavar="HEX", help="what the archive must have; for a folder, its digest")
    trust.add_argument(
        "--lock",
        metavar="FILE",
        type=Path,
        default=DEFAULT,
        help="where checksums of first use are recorded, and checked where no other is known; commit it (%(default)s)",
    )
    trust.add_argument("--no-lock", action="store_true", help="neither record checksums of first use nor check them")
    trust.add_argument(
        "--quarantine",
        action="store_true",
        help="set images that cannot be used aside, in DESTINATION/quarantine, instead of failing",
    )
    bounds = command.add_argument_group("limits")
    bounds.add_argument("--max-files", metavar="N", type=_count, default=archive.files, help="(%(default)s)")
    bounds.add_argument(
        "--max-size", metavar="BYTES", type=_size, default=archive.size, help="unpacked; K, M, G, T may follow (64G)"
    )
    bounds.add_argument(
        "--max-ratio", metavar="X", type=_positive, default=archive.ratio, help="unpacked to packed (%(default)g)"
    )
    _add_image_limits(bounds)
    transfer = command.add_argument_group("transfer")
    transfer.add_argument(
        "--retries", metavar="N", type=_count, default=patience.retries, help="in a row without a byte (%(default)s)"
    )
    transfer.add_argument(
        "--stall-limit",
        metavar="SECONDS",
        type=_positive,
        default=patience.stall,
        help="give up where nothing comes for so long, whatever the retries (%(default)g)",
    )
    transfer.add_argument(
        "--jobs", metavar="N", type=_positive_count, default=patience.jobs, help="requests to S3 at once (%(default)s)"
    )


def _add_image_limits(command: argparse._ActionsContainer) -> None:
    image = Limits()
    command.add_argument(
        "--max-pixels", metavar="N", type=_count, default=image.pixels, help="of an image (%(default)s)"
    )
    command.add_argument(
        "--min-side", metavar="PIXELS", type=_count, default=image.side, help="of an image (%(default)s)"
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number")
    return int(text)


def _positive_count(text: str) -> int:
    if not _count(text):
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return number


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d+)([KMGT]?)(?:i?B)?", text.upper().replace("IB", "B"))
    if not found:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of bytes such as 500M or 64G")
    return int(found[1]) * UNITS[found[2]]
