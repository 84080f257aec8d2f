"""The command line of the dataset step."""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from components.dataset.catalogue import CATALOGUE, SERVER_NOTE
from components.dataset.sources import FORMS
from dualgan.dataset_folder import Description
from dualgan.errors import EXIT_BAD_INPUT, DualGANError

EXIT_INTERRUPT = 130
EXIT_TERMINATED = 143


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"error: {message}; see `{self.prog} --help`", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)


def parser() -> Parser:
    forms = "\n".join(f"  {form:<34}  {meaning}" for form, meaning in FORMS)
    top = Parser(
        prog="python -m components.dataset",
        description="Make a dataset folder: {train,val}/{A,B}/*.{jpg,jpeg,png} and dataset.json.",
        epilog=f"a SOURCE is one of\n{forms}\n\nexit codes: 0 done, 1 failed, 2 bad input",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="{fetch,list,info}")
    fetching = commands.add_parser(
        "fetch",
        help="make a dataset folder from a source",
        description=(
            "Make DESTINATION the dataset folder of SOURCE, whole or not at all.\n"
            "Every image is opened and checked.\nA destination that holds this dataset already is left alone."
        ),
        epilog=f"a SOURCE is one of\n{forms}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fetching.add_argument("source", metavar="SOURCE", help="what to fetch, see below")
    fetching.add_argument("destination", metavar="DESTINATION", type=Path, help="a missing or empty folder")
    commands.add_parser("list", help="list the catalogue and the forms of a source")
    info = commands.add_parser(
        "info",
        help="say what a dataset folder holds and check that it is unchanged",
        description="Print what dataset.json says. Exit code 1 where the images are not those it describes.",
    )
    info.add_argument("folder", metavar="FOLDER", type=Path, help="a dataset folder")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    # Standard error is for the one line of an error, and for progress bars on a terminal.
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        if options.command == "list":
            _list()
        elif options.command == "fetch":
            _fetch(options.source, options.destination)
        else:
            _info(options.folder)
    except DualGANError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("error: interrupted, nothing was written", file=sys.stderr)
        return EXIT_INTERRUPT
    return 0


# Drawing and downloading need libraries that take longer to import than `list` and `--help` to run.
def _fetch(source: str, destination: Path) -> None:
    from components.dataset.fetch import fetch

    _show(fetch(source, destination))


def _info(folder: Path) -> None:
    from components.dataset.fetch import check

    _show(check(folder))


def _show(description: Description) -> None:
    print(f"name    {description.name}")
    print(f"source  {description.source}")
    print(f"images  {', '.join(f'{place} {count}' for place, count in sorted(description.counts.items()))}")
    print(f"digest  {description.digest}")


def _list() -> None:
    print("A source is one of")
    for form, meaning in FORMS:
        print(f"  {form:<34}  {meaning}")
    print("\nThe catalogue (lambda_A and lambda_B as published)")
    print(f"  {'name':<16}{'lambda_A':>8}  {'lambda_B':>8}  note")
    for entry in CATALOGUE.values():
        lambda_a, lambda_b = (f"{value:g}" for value in entry.lambdas) if entry.lambdas else ("-", "-")
        print(f"  {entry.name:<16}{lambda_a:>8}  {lambda_b:>8}  {entry.note}".rstrip())
    print(f"\nNote: {SERVER_NOTE}.")


def _terminate(signal_number: int, frame: FrameType | None) -> NoReturn:
    """Unwind, so that what is half done is removed."""
    sys.exit(EXIT_TERMINATED)


if __name__ == "__main__":
    sys.exit(main())
