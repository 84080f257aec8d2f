"""python -m components.compare: hold run folders against a reference run folder."""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from components.compare.leg import NAME, Leg
from components.compare.verdict import Verdict
from dualgan.errors import BadInput, DualGANError

EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 3, Verdict.INCONCLUSIVE: 4}


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see python -m components.compare --help")


def parser() -> Parser:
    made = Parser(
        prog="python -m components.compare",
        description="Say whether trained legs are as good as a reference leg, and write the report.",
        epilog="exit code: 0 pass, 3 fail, 4 inconclusive; 2 bad input, 1 failed",
    )
    made.add_argument("reference", type=Path, help="run folder of the reference leg")
    made.add_argument("candidates", type=Path, nargs="+", metavar="candidate", help="run folder of a leg to judge")
    made.add_argument("--names", nargs="+", metavar="NAME", help="names of the legs, the reference first")
    made.add_argument("--output", type=Path, default=Path("comparison"), metavar="DIR", help="default: %(default)s")
    return made


def main(arguments: list[str] | None = None) -> int:
    try:
        return run(parser().parse_args(arguments))
    except DualGANError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def run(options: argparse.Namespace) -> int:
    folders = [options.reference, *options.candidates]
    names = options.names or default_names(folders)
    if len(names) != len(folders):
        raise BadInput(
            f"--names: {len(names)} names for {len(folders)} run folders; give one each, the reference first"
        )
    # Imported late: the drawing libraries take longer than printing a usage error.
    from components.compare.compare import compare

    legs = [Leg(name, folder) for name, folder in zip(names, folders, strict=True)]
    comparison = compare(legs, names[0], options.output)
    print(f"{comparison.verdict.upper()}: {comparison.reason}")
    for name, axis in comparison.axes.items():
        print(f"  {name:<12} {axis.verdict:<13} {axis.reason}")
    for note in comparison.notes:
        print(f"  note         {note}")
    print(f"report: {options.output / 'report.html'}")
    return EXIT_CODES[comparison.verdict]


def default_names(folders: list[Path]) -> list[str]:
    """The names of the folders where these are fit for legs and all different."""
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) == len(names) and all(NAME.fullmatch(name) for name in names):
        return names
    others = [f"candidate-{number}" for number in range(1, len(folders))] if len(folders) > 2 else ["candidate"]
    return ["reference", *others]


if __name__ == "__main__":
    sys.exit(main())
