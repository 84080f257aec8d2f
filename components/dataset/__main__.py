"""The command line of the dataset step."""

import logging
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from components.dataset.catalogue import CATALOGUE, SERVER_NOTE
from components.dataset.command_line import fetch_options, limits, parser
from components.dataset.sources import FORMS, LAYOUTS
from dualgan.dataset_folder import Description
from dualgan.errors import DualGANError

EXIT_INTERRUPT = 130
EXIT_TERMINATED = 143


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
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

    match options.command:
        case "fetch":
            return fetch(options.source, options.destination, fetch_options(options))
        case "mirror":
            return mirror(options.source, options.target, fetch_options(options))
        case "verify":
            return verify(options.folder, limits(options))
        case _:
            return check(Path(options.folder))


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
    print("A source is one of")
    for form, meaning in FORMS:
        print(f"  {form:<34}  {meaning}")
    print(LAYOUTS)
    print("\nThe catalogue (lambda_A and lambda_B as published)")
    print(f"  {'name':<16}{'lambda_A':>8}  {'lambda_B':>8}  note")
    for entry in CATALOGUE.values():
        lambda_a, lambda_b = (f"{value:g}" for value in entry.lambdas) if entry.lambdas else ("-", "-")
        print(f"  {entry.name:<16}{lambda_a:>8}  {lambda_b:>8}  {entry.note}".rstrip())
    print(f"\nNote on all but pix2pix-*: {SERVER_NOTE}.")


def _terminate(signal_number: int, frame: FrameType | None) -> NoReturn:
    """Unwind, so that what is half done is removed."""
    sys.exit(EXIT_TERMINATED)


if __name__ == "__main__":
    sys.exit(main())
