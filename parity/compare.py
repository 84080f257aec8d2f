"""Commands of `parity compare`: judge legs against a reference, record a leg as one."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from components.common.cli import command, new_app
from components.common.console import print_line
from components.compare.bounds import bounds_from
from components.compare.verdict import EXIT_CODES, json_schema
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
        str, typer.Option(metavar="published|FILE|mlflow:RUN", help="Judge all legs against a recorded reference.")
    ] = "",
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
    read = read_legs(legs, replay or [], not reference)
    # Imported late: the drawing libraries take longer than printing a usage error.
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
    name: Annotated[str, typer.Option(help="Default: the first folder's name.")] = "",
    source: Annotated[str, typer.Option(help="Where it is from, for people; default: the run folders.")] = "",
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
    print_line(json.dumps(json_schema(), indent=2, sort_keys=True))
    return 0


def read_legs(texts: list[str], replays: list[str], first_is_reference: bool) -> "list[Leg]":
    """Return the legs of the command line with their replays. Raises BadInput if it is not clear what is whose."""
    from components.compare.leg import NAME, Leg, Source

    folders, names = list[list[Path]](), list[str]()
    for text in texts:
        # A path that exists as it stands is one folder.
        name, equals, listed = text.partition("=")
        is_named = bool(equals and NAME.fullmatch(name)) and not Path(text).exists()
        names += [name] * is_named
        parts = (listed if is_named else text).split(",")
        folders.append([Path(text)] if Path(text).exists() else [Path(part) for part in parts if part])
    if 0 < len(names) < len(texts):
        raise BadInput("some legs have a name (NAME=FOLDER) and some do not; name all or none")
    if not names:
        own = [leg[0].resolve().name for leg in folders if leg]
        others = ["candidate"] if len(texts) <= 2 else [f"candidate-{number}" for number in range(1, len(texts))]
        is_fit = len(set(own)) == len(texts) and all(map(NAME.fullmatch, own))
        names = own if is_fit else ["reference", *others][-len(texts) :]
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
    return [Leg(name, tuple(map(Source, leg)), by_leg.get(name)) for name, leg in zip(names, folders, strict=True)]


def _bound(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise BadInput(f"--bound {text}: must be NAME=VALUE, such as max_loss_ratio=1.1") from None
