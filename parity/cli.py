"""The command `parity`: run and judge trainings on this machine, or on a cluster."""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from components.common.cli import command, new_app, run_app, training_options
from components.common.console import print_line as print
from components.common.processes import Stopped, terminations_said
from dualgan.errors import EXIT_BAD_INPUT, BadInput, DualGANError
from parity import cluster, compare, dataset, gc
from parity.options import (
    PROFILE_HELP,
    Dataset,
    Experiment,
    ImageOptions,
    Profile,
    Role,
    Runtime,
    Seed,
    Seeds,
    TrackingOptions,
    TrainingOptions,
    from_here,
)
from pipelines.profiles import known_profiles

# What --resume without a run means.
NEWEST = "newest"
HERE, MLFLOW, PARTS = "On this machine", "MLflow", "Parts of a run"

app = new_app(
    "Train DualGAN on an accelerator and on a reference, and say with evidence whether one is as good as the other.\n\n"
    "Exit codes: 0 pass or done, 3 fail, 4 inconclusive; 1 failed work, 2 bad input, 130 Ctrl-C. --debug prints an "
    "error's traceback."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default the one of the process's own command line, and return the exit code."""
    if arguments is None:
        arguments = sys.argv[1:]
        if arguments[:1] in (["sync"], ["ui"]):
            from components.tracking.store import leave_out_data_libraries

            leave_out_data_libraries()
    return run_app(app, "parity", with_newest(arguments))


def with_newest(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with a value after a --resume that has none, which typer's options cannot do without."""
    found = []
    for position, text in enumerate(arguments):
        found.append(text)
        if text == "--resume" and (position + 1 == len(arguments) or arguments[position + 1].startswith("-")):
            found.append(NEWEST)
    return found


@command(app, "run", HERE, "parity run --dataset facades --option max_steps=5000")
def run(
    profile: Profile = "local",
    dataset: Dataset = None,
    dataset_sha256: Annotated[str, typer.Option(metavar="HEX", help="What the dataset's archive must have.")] = "",
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="Set images aside that cannot be used, instead of failing.")
    ] = False,
    seed: Seed = None,
    seeds: Seeds = None,
    option: TrainingOptions = None,
    runner: Annotated[
        Literal["subprocess", "docker"],
        typer.Option(help="A process for each task, or a container of its image (`make images`)."),
    ] = "subprocess",
    results: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for runs/ and latest/; default: .local.")
    ] = None,
    tracking_uri: Annotated[str, typer.Option(help="MLflow server or store.")] = "",
    experiment: Experiment = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="[RUN]",
            help="Go on with this run of .local/runs, whose profile and options then count; without RUN with the "
            "newest unfinished one of this profile, dataset and options. What is finished is not done again; --seeds "
            "adds what further seeds need.",
        ),
    ] = None,
) -> int:
    """Run the pipeline: dataset, train each leg, draw samples, compare, publish.

    Results go into a new folder of .local/runs (.local/latest is the newest comparison), losses and images into the
    MLflow store that --tracking-uri or MLFLOW_TRACKING_URI names, by default .local/mlflow (`parity ui` shows it).

    Ctrl-C lets a training save a checkpoint (30 s at most) and ends MLflow's runs; SIGTERM and SIGHUP leave 3 s.

    Exit codes: 0 pass, 3 fail, 4 inconclusive; 1 a task failed, 2 wrong input; 130, 143, 129 after those signals.
    """
    try:
        # Before anything that takes a while, as imports do.
        with terminations_said(signal.SIGTERM, signal.SIGHUP):
            from components.compare.verdict import EXIT_CODES
            from components.tracking.store import hand_over_login, resolve_tracking_uri
            from pipelines import local_run
            from pipelines.profile import load_profile

            chosen = load_profile(profile).with_seeds(seed, seeds)
            parameters = {
                "dataset": chosen.source(dataset),
                "options": training_options(option or ()),
                "tracking_uri": hand_over_login(tracking_uri),
                "experiment": experiment or "",
                "dataset_sha256": dataset_sha256,
                "quarantine": quarantine,
            }
            root = results or local_run.LOCAL
            if resume is None:
                done = local_run.run(chosen, parameters, root, runner)
            else:
                name = "" if resume == NEWEST else resume
                done = local_run.resume(name, chosen, parameters, (seed, seeds), root, runner)
    except Stopped as stopped:
        # A terminal that was closed takes no line.
        with contextlib.suppress(OSError):
            print(stopped, file=sys.stderr)
        return stopped.exit_code
    print(f"\n{done.verdict.upper()}: {done.reason}")
    print(f"report: {from_here(done.report)}")
    print(f"model: {done.model}")
    is_elsewhere = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    print(f"curves, images and models in MLflow: {resolve_tracking_uri(tracking_uri) if is_elsewhere else '`make ui`'}")
    return EXIT_CODES[done.verdict]


@command(app, "compile", HERE, "parity compile --profile ascend910-vs-gpu")
def compile_profile(
    images: ImageOptions,
    profile: Profile = "local",
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: .local/packages/PROFILE.yaml.")] = None,
    seed: Seed = None,
    seeds: Seeds = None,
) -> int:
    """Write the package of a profile's pipeline, which a cluster's KFP takes."""
    from pipelines.local_run import LOCAL
    from pipelines.package import compile_package
    from pipelines.profile import load_profile

    chosen = images.used_by(load_profile(profile).with_seeds(seed, seeds))
    package = output or LOCAL / "packages" / f"{chosen.name}.yaml"
    compile_package(chosen, package)
    print(from_here(package))
    return 0


@command(app, "check", HERE, "parity check ascend910-vs-gpu --dataset s3://team/faces")
def check(
    profiles: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROFILE", help=f"{PROFILE_HELP} Default: all.", autocompletion=known_profiles),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="A source in place of the profiles' own.")
    ] = None,
) -> int:
    """Look for mistakes in profiles, without a cluster."""
    from pipelines.package import check as check_profile

    exit_code = 0
    for name in profiles or known_profiles():
        try:
            print(f"{name}: {check_profile(name, dataset)} tasks, no problem found")
        except DualGANError as error:
            print(f"error: {error}", file=sys.stderr)
            exit_code = EXIT_BAD_INPUT
    return exit_code


cluster.add_commands(app)
gc.add_command(app)


@command(app, "sync", MLFLOW, "parity sync runs/npu")
def sync(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN_FOLDER")],
    options: TrackingOptions,
    role: Annotated[Role | None, typer.Option(help="Default: candidate.")] = None,
) -> int:
    """Send what MLflow does not have yet of a run folder.

    An option left out comes from the file that training left beside the folder (RUN_FOLDER.tracking.json), then from
    MLFLOW_TRACKING_URI, then from the folder's options.json.
    """
    from dualgan.run_folder import RunFolder

    folder = RunFolder(run_folder)
    for file in (folder.options, folder.events):
        if not file.is_file():
            raise BadInput(f"{run_folder}: no run folder, {file.name} is missing; give the folder that training wrote")

    from tqdm import tqdm

    from components.tracking.reasons import explain
    from components.tracking.runs import KILLED
    from components.tracking.sync import RunFolderSync, is_abandoned
    from components.tracking.target import TrackingTarget, read_target

    given = TrackingTarget(**asdict(options), role=role)
    target = given.completed(read_target(folder.path)).with_environment()
    # disable=None: no bar if standard error is no terminal.
    with tqdm(total=folder.events.stat().st_size, unit="B", unit_scale=True, disable=None, leave=False) as bar:

        def show(position: int) -> None:
            bar.update(position - bar.n)

        syncing = RunFolderSync(folder.path, target, on_progress=show, dead_is=KILLED)
        try:
            sent = syncing.step(ended=is_abandoned(folder.path))
        except DualGANError:
            raise
        except Exception as error:
            raise DualGANError(explain(error, syncing.tracking_uri)) from error
    if any((parent / "run.json").is_file() for parent in folder.path.resolve().parents):
        from pipelines.local_run import end_abandoned_around

        end_abandoned_around(folder.path)
    if syncing.run_id is None:
        print(f"{folder.path}: nothing to send yet, training has not begun")
    else:
        print(f"sent {sent} to run {syncing.run_id} at {syncing.tracking_uri}")
    return 0


@command(app, "ui", MLFLOW, "parity ui --port 5000")
def ui(
    store: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: .local/mlflow in the working tree.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Default: 5000, or a free one if that is taken.")] = None,
) -> int:
    """Serve the local MLflow store and print the address of the comparison page."""
    from components.tracking.comparison_view import newest_comparison
    from components.tracking.store import local_store
    from components.tracking.ui import serve
    from pipelines.local_run import LOCAL, end_abandoned

    chosen = store or local_store()
    # What it shows as running does run.
    end_abandoned(LOCAL)
    # Started in a script's background, Python would leave SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with serve(chosen, port) as address:
            print(newest_comparison(chosen, address) or address, flush=True)
            print("Ctrl-C stops the server", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        return 0


@command(app, "publish", MLFLOW, "parity publish runs/npu runs/comparison")
def publish(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN_FOLDER", help="Of the candidate.")],
    comparison: Annotated[Path, typer.Argument(metavar="COMPARISON", help="Folder with comparison.json.")],
    options: TrackingOptions,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the checkpoints; default: RUN_FOLDER.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Registered model; default: dualgan-DATASET.")] = None,
    hours: Annotated[float, typer.Option(help="How long to wait for MLflow.")] = 0.0,
    runtime: Annotated[Runtime | None, typer.Option(help="What exports; default: the one that trained.")] = None,
) -> int:
    """Register a leg that finished as a model that MLflow serves.

    The version gets the alias challenger; champion if the comparison passed and no loss is above the comparison's
    bound times the present champion's. Both must be of the same data. Repeated, nothing is registered twice.

    Exit codes: 0 registered; 2 bad input, 1 failed.
    """
    if not 0 <= hours < float("inf"):
        raise BadInput(f"--hours {hours}: must be 0 or more")
    from components.publish.publish import publish as register
    from components.tracking.target import TrackingTarget

    target = TrackingTarget(**asdict(options), runtime=runtime)
    published = register(run_folder, comparison, target, model=model, name=name, hours=hours)
    # MLflow starts its server by name, so that must be found.
    found = f"PATH={Path(sys.executable).parent}:$PATH MLFLOW_TRACKING_URI={published.tracking_uri}"
    print(f"serve it: {found} mlflow models serve -m {published.uri} --env-manager local")
    if published.page:
        print(f"page: {published.page}")
    return 0


app.add_typer(dataset.app, name="dataset", rich_help_panel=PARTS)
app.add_typer(compare.app, name="compare", rich_help_panel=PARTS)
