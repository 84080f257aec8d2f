"""Commands of `parity compare`: judge legs against a reference, record a leg as one."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from components.common.cli import command, new_app
from components.common.console import print_line
from components.compare.verdict import EXIT_CODES
from dualgan.errors import BadInput

if TYPE_CHECKING:
    from components.compare.leg import Leg

JUDGE, REFERENCES = "Judge", "References"


class _WithDefault(TyperGroup):
    """`parity compare LEG LEG` without the command's name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in {*self.commands, "--help"}:
            args = ["legs", *args]
        return super().parse_args(ctx, args)


app = new_app(
    "Say whether trained legs are as good as a reference leg, and write the report.\n\n"
    "`parity compare LEG LEG` is short for `parity compare legs LEG LEG`.\n\n"
    "Exit codes: 0 pass, 3 fail, 4 inconclusive; 2 bad input, 1 failed.",
    cls=_WithDefault,
)


@command(app, "legs", JUDGE, "parity compare gpu=runs/gpu-0,runs/gpu-1 npu=runs/npu")
def compare_legs(
    legs: Annotated[list[str], typer.Argument(metavar="LEG", help="RUN_FOLDER, or NAME=RUN_FOLDER,RUN_FOLDER...")],
    reference: Annotated[
        str | None,
        typer.Option(metavar="published|FILE|mlflow:RUN", help="Judge all legs against a recorded reference."),
    ] = None,
    replay: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|NAME=FILE", help="What `dualgan replay` wrote on the candidate's device; repeatable."
        ),
    ] = None,
    bound: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A bound other than components/compare/bounds.py has it; repeatable."),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the report.")] = Path("comparison"),
) -> int:
    """Say whether trained legs are as good as a reference leg, and write the report.

    A leg is a run folder, or several that differ in their seeds: gpu=runs/gpu-0,runs/gpu-1. The first leg is the
    reference; with --reference all of them are judged, against what was recorded before.

    Exit codes: 0 pass, 3 fail, 4 inconclusive; 2 bad input, 1 failed.
    """
    read = read_legs(legs, replay or [], reference is None)
    # Imported late: the drawing libraries take longer than printing a usage error.
    from components.compare.bounds import bounds_from
    from components.compare.judge import compare
    from components.compare.references import load_reference

    bounds = bounds_from(dict(map(_bound, bound or ())))
    comparison = compare(read, read[0].name, output, bounds, load_reference(reference) if reference else None)
    print_line(f"{comparison.verdict.upper()}: {comparison.reason}")
    for line in comparison.lines():
        print_line(f"  {line}")
    print_line(f"report: {output / 'report.html'}")
    return EXIT_CODES[comparison.verdict]


@command(app, "record", REFERENCES, "parity compare record runs/gpu --output gpu.json")
def record_leg(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_FOLDER", help="Of one leg, one a seed.")],
    output: Annotated[Path, typer.Option(metavar="FILE", help="JSON file to write.")],
    name: Annotated[str | None, typer.Option(help="Default: the first folder's name.")] = None,
    source: Annotated[str | None, typer.Option(help="Where it is from, for people; default: the run folders.")] = None,
) -> int:
    """Record a trained leg as a reference that later legs are held against, without it.

    Exit codes: 0 recorded; 2 bad input, 1 failed.
    """
    from components.compare.leg import Source, check_name
    from components.compare.references import record
    from dualgan.run_folder import write_json

    name = check_name(name or runs[0].resolve().name, "--name")
    if not output.parent.is_dir():
        raise BadInput(f"--output {output}: no such folder to write into")
    found = record(name, [Source(folder) for folder in runs], source or ", ".join(map(str, runs)))
    write_json(output, found.model_dump(mode="json"))
    print_line(f"recorded {', '.join(found.measurements)} of {len(runs)} run(s): {output}")
    return 0


@command(app, "schema", REFERENCES, "parity compare schema")
def print_schema() -> int:
    """Print the JSON schema of comparison.json."""
    from components.compare.verdict import json_schema

    print_line(json.dumps(json_schema(), indent=2, sort_keys=True))
    return 0


def read_legs(texts: list[str], replays: list[str], first_is_reference: bool) -> "list[Leg]":
    """Return the legs of the command line with their replays. Raises BadInput if it is not clear what is whose."""
    from components.compare.leg import Leg, Source

    named = [_named(text) for text in texts]
    if len({name is None for name, _ in named}) > 1:
        raise BadInput("some legs have a name (NAME=FOLDER) and some do not; name all or none")
    names = [name for name, _ in named if name] or _default_names([folders[0] for _, folders in named])
    candidates = names[1:] if first_is_reference else names
    by_leg: dict[str, Path] = {}
    for text in replays:
        name, equals, file = text.partition("=")
        if not (equals and name in candidates):
            if len(candidates) != 1:
                raise BadInput(f"--replay {text}: whose is it? give NAME=FILE, one of {', '.join(candidates)}")
            name, file = candidates[0], text
        if name in by_leg:
            raise BadInput(f"--replay {text}: {name} has another one already")
        by_leg[name] = Path(file)
    legs = zip(names, (folders for _, folders in named), strict=True)
    return [Leg(name, tuple(map(Source, folders)), by_leg.get(name)) for name, folders in legs]


def _bound(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise BadInput(f"--bound {text}: must be NAME=VALUE, such as max_loss_ratio=1.1") from None


def _named(text: str) -> tuple[str | None, list[Path]]:
    """Split NAME=FOLDER,FOLDER into a name and folders; a path that exists as it stands is one folder."""
    from components.compare.leg import NAME

    name, equals, folders = text.partition("=")
    if Path(text).exists() or not equals or not NAME.fullmatch(name):
        return None, [Path(text)] if Path(text).exists() else [Path(part) for part in text.split(",")]
    return name, [Path(part) for part in folders.split(",") if part]


def _default_names(folders: list[Path]) -> list[str]:
    """Return the names of the folders if these are fit for legs and all different, else general ones."""
    from components.compare.leg import NAME

    names = [folder.resolve().name for folder in folders]
    if len(set(names)) == len(names) and all(map(NAME.fullmatch, names)):
        return names
    others = ["candidate"] if len(names) <= 2 else [f"candidate-{number}" for number in range(1, len(names))]
    return ["reference", *others][-len(names) :]
