"""The command line of the dataset step."""

import argparse
import logging
import re
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from components.dataset.catalogue import CATALOGUE, SERVER_NOTE
from components.dataset.options import FetchOptions, Limits, TransferOptions
from components.dataset.sources import FORMS, LAYOUTS
from dualgan.dataset_folder import Description
from dualgan.errors import EXIT_BAD_INPUT, DualGANError

EXIT_INTERRUPT = 130
EXIT_TERMINATED = 143
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
SOURCES = "a SOURCE is one of\n" + "\n".join(f"  {form:<34}  {meaning}" for form, meaning in FORMS) + f"\n{LAYOUTS}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code."""
    options = _parser().parse_args(arguments)
    # Standard error is for the one line of an error, and for progress bars on a terminal.
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    for noisy in ("botocore", "boto3", "s3transfer", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        if options.command == "list":
            _list()
        elif options.command == "info" and options.folder in CATALOGUE and not Path(options.folder).exists():
            _about(options.folder)
        else:
            _show(_described(options))
    except DualGANError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("error: interrupted; the same command goes on with what was transferred", file=sys.stderr)
        return EXIT_INTERRUPT
    return 0


# Drawing and downloading need libraries that take longer to import than `list` and `--help` to run.
def _described(options: Namespace) -> Description:
    from components.dataset.fetch import fetch
    from components.dataset.mirror import mirror
    from components.dataset.verify import check, verify

    if options.command == "info":
        return check(Path(options.folder))
    if options.command == "verify":
        return verify(options.folder, Limits(pixels=options.max_pixels, side=options.min_side))
    chosen = FetchOptions(
        sha256=options.sha256,
        lock=None if options.no_lock else options.lock,
        quarantine=options.quarantine,
        limits=Limits(options.max_files, options.max_size, options.max_ratio, options.max_pixels, options.min_side),
        transfer=TransferOptions(options.retries, options.idle_timeout, options.min_rate, options.jobs),
    )
    if options.command == "fetch":
        return fetch(options.source, options.destination, chosen)
    return mirror(options.source, options.target, chosen)


def _show(description: Description) -> None:
    print(f"name    {description.name}")
    print(f"source  {description.source}")
    print(f"images  {', '.join(f'{place} {count}' for place, count in sorted(description.counts.items()))}")
    print(f"digest  {description.digest}")


def _about(name: str) -> None:
    entry = CATALOGUE[name]
    print(f"name    {name}{f' ({entry.note})' if entry.note else ''}")
    for url in entry.urls:
        print(f"source  {url}")
    print(f"sha256  {entry.sha256 or 'never published; recorded at the first fetch'}")
    if entry.advice:
        print(f"note    {entry.advice}")


def _list() -> None:
    print(SOURCES.replace("a SOURCE", "A source", 1))
    print("\nThe catalogue (lambda_A and lambda_B as published)")
    print(f"  {'name':<16}{'lambda_A':>8}  {'lambda_B':>8}  note")
    for entry in CATALOGUE.values():
        lambda_a, lambda_b = (f"{value:g}" for value in entry.lambdas) if entry.lambdas else ("-", "-")
        print(f"  {entry.name:<16}{lambda_a:>8}  {lambda_b:>8}  {entry.note}".rstrip())
    print(f"\nNote on all but pix2pix-*: {SERVER_NOTE}.")


def _terminate(signal_number: int, frame: FrameType | None) -> NoReturn:
    """Unwind, so that what is half done is removed."""
    sys.exit(EXIT_TERMINATED)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"error: {message}; see `{self.prog} --help`", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


def _parser() -> _Parser:
    top = _Parser(
        prog="python -m components.dataset",
        description="Make a dataset folder: {train,val}/{A,B}/*.{jpg,jpeg,png} and dataset.json.",
        epilog=f"{SOURCES}\n\nexit codes: 0 done, 1 failed, 2 bad input",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="{fetch,verify,mirror,list,info}")

    def command(name: str, summary: str, description: str = "", epilog: str = "") -> argparse.ArgumentParser:
        shape = argparse.RawDescriptionHelpFormatter
        return commands.add_parser(
            name, help=summary, description=description or None, epilog=epilog or None, formatter_class=shape
        )

    fetching = command(
        "fetch",
        "make a dataset folder from a source",
        "Make DESTINATION the dataset folder of SOURCE, whole or not at all.\n"
        "Every image is opened and checked.\nA destination that holds this dataset already is left alone.",
        SOURCES,
    )
    fetching.add_argument("source", metavar="SOURCE", help="what to fetch, see below")
    fetching.add_argument("destination", metavar="DESTINATION", type=Path, help="a missing or empty folder")
    _add_fetch_options(fetching)
    verifying = command(
        "verify",
        "check that a dataset folder is what its dataset.json describes, and open every image",
        "Exit code 1 if the images are not those that dataset.json describes, or one cannot be used.",
    )
    verifying.add_argument("folder", metavar="FOLDER", type=Path, help="a dataset folder")
    _add_image_limits(verifying)
    mirroring = command(
        "mirror",
        "put a dataset into a bucket of your own",
        "Fetch and verify SOURCE, and write its images and dataset.json below TARGET,\n"
        "which is a source from then on. Where S3 is say the AWS_* variables.",
        f"{SOURCES}\nor a dataset folder, which is verified and not copied",
    )
    mirroring.add_argument("source", metavar="SOURCE", help="what to mirror, see below")
    mirroring.add_argument("target", metavar="TARGET", help="s3://bucket/prefix, with nothing else below it")
    _add_fetch_options(mirroring)
    command("list", "list the catalogue and the forms of a source")
    info = command(
        "info",
        "say what a dataset folder holds and check that it is unchanged",
        "Print what dataset.json says. Exit code 1 if the images are not those it describes.\n"
        "For a name of the catalogue, print what is known of it.",
    )
    info.add_argument("folder", metavar="FOLDER", help="a dataset folder, or a name of the catalogue")
    return top


def _add_fetch_options(command: argparse.ArgumentParser) -> None:
    transfer, limits = TransferOptions(), Limits()
    group = command.add_argument_group("trust")
    group.add_argument("--sha256", metavar="HEX", help="what the archive must have; for a folder, its digest")
    lock_help = "where checksums of first use are recorded, and checked if no other is known; commit it (%(default)s)"
    group.add_argument("--lock", metavar="FILE", type=Path, default=Path("datasets.lock"), help=lock_help)
    group.add_argument("--no-lock", action="store_true", help="neither record checksums of first use nor check them")
    aside = "set images that cannot be used aside, in DESTINATION/quarantine, instead of failing"
    group.add_argument("--quarantine", action="store_true", help=aside)
    group = command.add_argument_group("limits")
    group.add_argument("--max-files", metavar="N", type=_count, default=limits.files, help="(%(default)s)")
    size_help = "transferred or unpacked; K, M, G, T may follow (64G)"
    group.add_argument("--max-size", metavar="BYTES", type=_size, default=limits.size, help=size_help)
    ratio_help = "unpacked to packed (%(default)g)"
    group.add_argument("--max-ratio", metavar="X", type=_positive, default=limits.ratio, help=ratio_help)
    _add_image_limits(group)
    group = command.add_argument_group("transfer")
    retries_help = "in a row without a byte (%(default)s)"
    group.add_argument("--retries", metavar="N", type=_count, default=transfer.retries, help=retries_help)
    idle_help = "give up if nothing comes for so long, whatever the retries (%(default)g)"
    seconds = transfer.idle_timeout
    group.add_argument("--idle-timeout", metavar="SECONDS", type=_positive, default=seconds, help=idle_help)
    rate_help = "give up if fewer come in a second, over the time of --idle-timeout (1K)"
    group.add_argument("--min-rate", metavar="BYTES", type=_size, default=transfer.min_rate, help=rate_help)
    jobs_help = "requests to S3 at once (%(default)s)"
    group.add_argument("--jobs", metavar="N", type=_positive_count, default=transfer.jobs, help=jobs_help)


def _add_image_limits(command: argparse._ActionsContainer) -> None:
    limits, text = Limits(), "of an image (%(default)s)"
    command.add_argument("--max-pixels", metavar="N", type=_count, default=limits.pixels, help=text)
    command.add_argument("--min-side", metavar="PIXELS", type=_count, default=limits.side, help=text)


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
    found = re.fullmatch(r"(\d{1,18})([KMGT]?)(?:i?B)?", text.upper().replace("IB", "B"))
    if not found:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of bytes such as 500M or 64G")
    return int(found[1]) * UNITS[found[2]]


if __name__ == "__main__":
    sys.exit(main())
