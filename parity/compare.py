"""Commands of `parity compare`: judge legs against a reference, record a leg as one."""

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from components.common.cli import command, new_app
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


class _WithNames(TyperCommand):
    """`--names gpu npu` as well as `--names gpu --names npu`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _repeated(args, "--names"))


def _repeated(arguments: list[str], option: str) -> list[str]:
    """Put ``option`` before each of the words that follow it, up to the next option."""
    repeated: list[str] = []
    is_within = False
    for argument, following in itertools.pairwise([*arguments, "-"]):
        if argument == option:
            if following.startswith("-"):
                raise BadInput(f"{option}: expected at least one name; see `parity compare legs --help`")
            is_within = True
            continue
        is_within = is_within and not argument.startswith("-")
        repeated += [option, argument] if is_within else [argument]
    return repeated


app = new_app(
    "Say whether trained legs are as good as a reference leg, and write the report.\n\n"
    "`parity compare LEG LEG` is short for `parity compare legs LEG LEG`.\n\n"
    "Exit codes: 0 pass, 3 fail, 4 inconclusive; 2 bad input, 1 failed.",
    cls=_WithDefault,
)


@command(app, "legs", JUDGE, "parity compare gpu=runs/gpu-0,runs/gpu-1 npu=runs/npu", cls=_WithNames)
def compare_legs(
    legs: Annotated[list[str], typer.Argument(metavar="LEG", help="RUN_FOLDER, or NAME=RUN_FOLDER,RUN_FOLDER...")],
    names: Annotated[
        list[str] | None, typer.Option(metavar="NAME...", help="Names of the legs, in their order.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="published|FILE|mlflow:RUN", help="Judge all legs against a recorded reference."),
    ] = None,
    replay: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|NAME=FILE",
            help="What `dualgan replay` wrote on the candidate's device; may be repeated.",
        ),
    ] = None,
    bound: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="A bound other than components/compare/bounds.py has it; may be repeated."
        ),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the report.")] = Path("comparison"),
) -> int:
    """Say whether trained legs are as good as a reference leg, and write the report.

    A leg is a run folder, or several that differ in their seeds: gpu=runs/gpu-0,runs/gpu-1. The first leg is the
    reference; with --reference all of them are judged, against what was recorded before.

    Exit codes: 0 pass, 3 fail, 4 inconclusive; 2 bad input, 1 failed.
    """
    read = with_replays(read_legs(legs, names), replay or [], reference is None)
    # Imported late: the drawing libraries take longer than printing a usage error.
    from components.compare.bounds import bounds_from
    from components.compare.judge import compare
    from components.compare.references import load_reference

    bounds = bounds_from(dict(map(_bound, bound or ())))
    recorded = load_reference(reference) if reference else None
    comparison = compare(read, read[0].name, output, bounds, recorded)
    print(f"{comparison.verdict.upper()}: {comparison.reason}")
    for name, axis in comparison.axes.items():
        print(f"  {name:<12} {axis.verdict:<13} {axis.reason}")
    for note in comparison.notes:
        print(f"  note         {note}")
    for caveat in comparison.caveats:
        print(f"  weaker for   {caveat}")
    print(f"report: {output / 'report.html'}")
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
    from components.compare.leg import NAME, Source
    from components.compare.references import record
    from dualgan.run_folder import write_json

    name = name or runs[0].resolve().name
    if not NAME.fullmatch(name):
        raise BadInput(f"--name {name}: a name is made of letters, digits and . _ -, such as gpu-v100")
    found = record(name, [Source(folder) for folder in runs], source or ", ".join(map(str, runs)))
    if not output.parent.is_dir():
        raise BadInput(f"--output {output}: no such folder to write into")
    write_json(output, found.model_dump(mode="json"))
    print(f"recorded {', '.join(found.measurements)} of {len(runs)} run(s): {output}")
    return 0


@command(app, "schema", REFERENCES, "parity compare schema")
def print_schema() -> int:
    """Print the JSON schema of comparison.json."""
    from components.compare.result import json_schema

    print(json.dumps(json_schema(), indent=2, sort_keys=True))
    return 0


def read_legs(texts: list[str], names: list[str] | None) -> "list[Leg]":
    """Return the legs of the command line. Raises BadInput if names are too few or given twice over."""
    from components.compare.leg import Leg, Source

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
    from components.compare.leg import NAME

    if Path(text).exists():
        return None, [Path(text)]
    name, equals, folders = text.partition("=")
    if not equals or not NAME.fullmatch(name):
        name, folders = "", text
    return name or None, [Path(part) for part in folders.split(",") if part]


def with_replays(legs: "list[Leg]", texts: list[str], first_is_reference: bool) -> "list[Leg]":
    """Return the legs with the replays of --replay. Raises BadInput if it is not clear whose a replay is."""
    from components.compare.leg import Leg

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
    from components.compare.leg import NAME

    names = [folder.resolve().name for folder in folders]
    if len(set(names)) == len(names) and all(NAME.fullmatch(name) for name in names):
        return names
    others = [f"candidate-{number}" for number in range(1, len(folders))] if len(folders) > 2 else ["candidate"]
    return ["reference", *others[: len(folders) - 1]] if len(folders) > 1 else ["candidate"]
