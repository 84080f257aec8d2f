"""python -m components.compare: hold run folders against a reference; python -m components.compare record: make one."""

import argparse
import json
import sys
from pathlib import Path
from typing import NoReturn

from components.compare.leg import NAME, Leg, Source
from components.compare.verdict import Verdict
from dualgan.errors import EXIT_FAILED, BadInput, DualGANError

EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 3, Verdict.INCONCLUSIVE: 4}

DESCRIPTION = """Say whether trained legs are as good as a reference leg, and write the report.

A leg is a run folder, or several that differ in their seeds: gpu=runs/gpu-0,runs/gpu-1. The first leg is the
reference; with --reference all of them are judged, against what was recorded before.

To record a leg as a reference: python -m components.compare record --help
To print the JSON schema of comparison.json: python -m components.compare schema"""

EPILOG = "exit code: 0 pass, 3 fail, 4 inconclusive; 2 bad input, 1 failed"


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see {self.prog} --help")


def parser() -> Parser:
    made = Parser(
        prog="python -m components.compare",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("legs", nargs="+", metavar="LEG", help="RUN_FOLDER, or NAME=RUN_FOLDER,RUN_FOLDER...")
    made.add_argument("--names", nargs="+", metavar="NAME", help="names of the legs, in their order")
    made.add_argument(
        "--reference", metavar="published|FILE|mlflow:RUN", help="judge all legs against a recorded reference"
    )
    made.add_argument(
        "--replay",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="what `python -m dualgan replay` wrote on the candidate's device; may be repeated",
    )
    made.add_argument(
        "--bound",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a bound other than components/compare/bounds.py has it; may be repeated",
    )
    made.add_argument("--output", type=Path, default=Path("comparison"), metavar="DIR", help="default: %(default)s")
    return made


def record_parser() -> Parser:
    made = Parser(
        prog="python -m components.compare record",
        description="Record a trained leg as a reference that later legs are held against, without it.",
        epilog="exit code: 0 recorded; 2 bad input, 1 failed",
    )
    made.add_argument("runs", nargs="+", type=Path, metavar="RUN_FOLDER", help="of one leg, one a seed")
    made.add_argument("--name", help="default: the first folder's name")
    made.add_argument("--source", help="where it is from, for people (default: the run folders)")
    made.add_argument("--output", type=Path, required=True, metavar="FILE", help="JSON file to write")
    return made


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given[:1] == ["record"]:
            return run_record(record_parser().parse_args(given[1:]))
        if given == ["schema"]:
            return print_schema()
        return run(parser().parse_args(given))
    except DualGANError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED


def run(options: argparse.Namespace) -> int:
    legs = read_legs(options.legs, options.names)
    legs = with_replays(legs, options.replay, options.reference is None)
    # Imported late: the drawing libraries take longer than printing a usage error.
    from components.compare.bounds import bounds_from
    from components.compare.judge import compare
    from components.compare.references import load_reference

    bounds = bounds_from(dict(_bound(text) for text in options.bound))
    recorded = load_reference(options.reference) if options.reference else None
    comparison = compare(legs, legs[0].name, options.output, bounds, recorded)
    print(f"{comparison.verdict.upper()}: {comparison.reason}")
    for name, axis in comparison.axes.items():
        print(f"  {name:<12} {axis.verdict:<13} {axis.reason}")
    for note in comparison.notes:
        print(f"  note         {note}")
    for caveat in comparison.caveats:
        print(f"  weaker for   {caveat}")
    print(f"report: {options.output / 'report.html'}")
    return EXIT_CODES[comparison.verdict]


def run_record(options: argparse.Namespace) -> int:
    from components.compare.references import record
    from dualgan.run_folder import write_json

    name = options.name or options.runs[0].resolve().name
    if not NAME.fullmatch(name):
        raise BadInput(f"--name {name}: a name is made of letters, digits and . _ -, such as gpu-v100")
    source = options.source or ", ".join(map(str, options.runs))
    found = record(name, [Source(folder) for folder in options.runs], source)
    if not options.output.parent.is_dir():
        raise BadInput(f"--output {options.output}: no such folder to write into")
    write_json(options.output, found.model_dump(mode="json"))
    print(f"recorded {', '.join(found.measurements)} of {len(options.runs)} run(s): {options.output}")
    return 0


def print_schema() -> int:
    """Print the JSON schema of comparison.json."""
    from components.compare.result import json_schema

    print(json.dumps(json_schema(), indent=2, sort_keys=True))
    return 0


def read_legs(texts: list[str], names: list[str] | None) -> list[Leg]:
    """Return the legs of the command line. Raises BadInput if names are too few or given twice over."""
    named = [_named(text) for text in texts]
    if names is not None and len(names) != len(texts):
        raise BadInput(f"--names: {len(names)} names for {len(texts)} legs; give one each, in their order")
    if names is not None and any(name for name, _ in named):
        raise BadInput("--names: a leg has a name already (NAME=FOLDER); give one or the other")
    given = names or [name for name, _ in named if name]
    if given and len(given) < len(texts):
        raise BadInput("some legs have a name (NAME=FOLDER) and some do not; name all or none")
    folders = [paths for _, paths in named]
    chosen = given or default_names([paths[0] for paths in folders])
    return [Leg(name, tuple(map(Source, paths))) for name, paths in zip(chosen, folders, strict=True)]


def _named(text: str) -> tuple[str | None, list[Path]]:
    """Split NAME=FOLDER,FOLDER into a name and folders; a path that exists as it stands is one folder."""
    if Path(text).exists():
        return None, [Path(text)]
    name, equals, folders = text.partition("=")
    if not equals or not NAME.fullmatch(name):
        name, folders = "", text
    return name or None, [Path(part) for part in folders.split(",") if part]


def with_replays(legs: list[Leg], texts: list[str], first_is_reference: bool) -> list[Leg]:
    """Return the legs with the replays of --replay. Raises BadInput if it is not clear whose a replay is."""
    candidates = [leg.name for leg in (legs[1:] if first_is_reference else legs)]
    replays: dict[str, Path] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not (equals and name in candidates):
            if len(candidates) != 1:
                raise BadInput(f"--replay {text}: whose is it? give NAME=FILE, one of {', '.join(candidates)}")
            name, file = candidates[0], text
        if name in replays:
            raise BadInput(f"--replay {text}: {name} has another one already")
        replays[name] = Path(file)
    return [Leg(leg.name, leg.sources, replays.get(leg.name)) for leg in legs]


def _bound(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise BadInput(f"--bound {text}: must be NAME=VALUE, such as max_loss_ratio=1.1") from None


def default_names(folders: list[Path]) -> list[str]:
    """Return the names of the folders if these are fit for legs and all different, otherwise general ones."""
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) == len(names) and all(NAME.fullmatch(name) for name in names):
        return names
    others = [f"candidate-{number}" for number in range(1, len(folders))] if len(folders) > 2 else ["candidate"]
    return ["reference", *others[: len(folders) - 1]] if len(folders) > 1 else ["candidate"]


if __name__ == "__main__":
    sys.exit(main())
