"""Commands that speak with a cluster: submit, retrain, schedule, doctor."""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.common.cli import command, training_options
from components.common.console import print_line as print
from dualgan.errors import BadInput, DualGANError
from parity.options import PROFILE_HELP, Dataset, Profile, Seed, Seeds, TrainingOptions

if TYPE_CHECKING:
    from pipelines.kfp_api import KfpApi
    from pipelines.package import Package
    from pipelines.profile import Profile as LoadedProfile

PANEL, KFP, WAITING = "On a cluster", "Kubeflow Pipelines", "Waiting"
CLUSTER_PROFILE = "ascend910-vs-gpu"
EXPERIMENT = "dualgan-parity"
PackageFile = Annotated[Path | None, typer.Option(metavar="FILE", help="A compiled package, instead of a profile's.")]


@dataclass(frozen=True)
class RunOptions:
    """Options of each command that makes runs on a cluster."""

    profile: Profile = CLUSTER_PROFILE
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="Address of KFP; default: KFP_ENDPOINT. A token is KFP_EXISTING_TOKEN's.", rich_help_panel=KFP
        ),
    ] = None
    namespace: Annotated[
        str | None,
        typer.Option(help="Where runs execute, in a KFP with many users; default: KFP_NAMESPACE.", rich_help_panel=KFP),
    ] = None
    experiment_name: Annotated[str, typer.Option(help="KFP's experiment.", rich_help_panel=KFP)] = EXPERIMENT
    service_account: Annotated[
        str | None, typer.Option(help="Of the run's pods; default: KFP's.", rich_help_panel=KFP)
    ] = None
    dataset: Dataset = None
    option: TrainingOptions = None
    parameter: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the pipeline; may be repeated.")
    ] = None
    tracking_uri: Annotated[
        str | None, typer.Option(help="MLflow, as seen from here; default: MLFLOW_TRACKING_URI.")
    ] = None
    seed: Seed = None
    seeds: Seeds = None
    retries: Annotated[int, typer.Option(help="Further tries of a call to KFP.", rich_help_panel=KFP)] = 3


@dataclass(frozen=True)
class WaitOptions:
    """Options of how to wait for a run's end."""

    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Give up waiting; the run goes on.", rich_help_panel=WAITING)
    ] = None
    poll: Annotated[float, typer.Option(metavar="SECONDS", help="Between two looks.", rich_help_panel=WAITING)] = 5.0
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", help="With a KFP that is away.", rich_help_panel=WAITING)
    ] = 900.0
    cancel_on_interrupt: Annotated[
        bool,
        typer.Option(
            "--cancel-on-interrupt", help="End the run when Ctrl-C ends the waiting.", rich_help_panel=WAITING
        ),
    ] = False


Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the run's end.", rich_help_panel=WAITING)]


@dataclass(frozen=True)
class Order:
    """A checked package with its parameters, and the KFP that it is for."""

    profile: "LoadedProfile"
    package: "Package"
    parameters: dict[str, Any]
    api: "KfpApi"


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the application."""
    command(app, "submit", PANEL, "parity submit --profile gpu --dataset s3://team/faces")(submit)
    command(app, "retrain", PANEL, "parity retrain --dataset s3://team/faces --max-age-days 30 --dry-run")(retrain)
    command(app, "schedule", PANEL, "parity schedule --dataset s3://team/faces --cron '0 17 3 * * 0'")(schedule)
    command(app, "doctor", PANEL, "parity doctor --cluster --profile ascend910-vs-gpu")(doctor)


def submit(
    options: RunOptions,
    waiting: WaitOptions,
    wait: Wait = True,
    package: PackageFile = None,
    run_name: Annotated[str | None, typer.Option(help="Default: the pipeline's name and the time.")] = None,
) -> int:
    """Submit a profile's pipeline to the KFP at --endpoint, wait for its end, and print the verdict.

    Exit codes: 0 pass, 3 fail, 4 inconclusive (the verdict is MLflow's, or if it has none that of the comparison's log
    in KFP); 1 the run failed, was cancelled or is not over in time; 2 wrong input, and then nothing was submitted.
    With --no-wait: 0 once it is submitted.
    """
    order = _order(options, package)
    _check_seconds(waiting)
    name = run_name or f"{order.package.name} {time.strftime('%Y-%m-%d %H:%M:%S')}"
    return _submit(order, order.api.experiment(options.experiment_name), name, options, waiting, wait)


def retrain(
    options: RunOptions,
    waiting: WaitOptions,
    wait: Wait = False,
    model: Annotated[str | None, typer.Option(help="Registered model; default: that of the dataset's name.")] = None,
    max_age_days: Annotated[float | None, typer.Option(help="How old a champion may be; default: any age.")] = None,
    dataset_digest: Annotated[
        str | None, typer.Option(help="Digest of the data as they are now, from their dataset.json.")
    ] = None,
    attempts: Annotated[int, typer.Option(help="Runs that may fail.")] = 3,
    force: Annotated[bool, typer.Option("--force", help="Train even if nothing asks for it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print whether it is due, submit nothing.")] = False,
) -> int:
    """Train again if that is due.

    It is if the dataset, the trainer's code, the images, the options or the bounds are others than the champion's, or
    the champion is too old. However many call it at the same time, one run is submitted; its last step makes the new
    model champion only if the verdict allows it.

    Exit code 0 whether or not it was due; with --wait that of submit.
    """
    from components.dataset.sources import parse_source
    from pipelines.retrain import champion_of, claim, decide, present_digest

    order = _order(options, None)
    _check_seconds(waiting)
    uri = options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise BadInput("which model is champion is in MLflow: give --tracking-uri, or set MLFLOW_TRACKING_URI")
    if max_age_days is not None and not max_age_days > 0:
        raise BadInput(f"--max-age-days {max_age_days}: must be above 0")
    if attempts < 1:
        raise BadInput(f"--attempts {attempts}: must be 1 or more")
    source = order.profile.source(order.parameters.get("dataset"))
    training = {**order.profile.options, **order.parameters.get("options", {})}
    profile = order.profile.model_copy(update={"dataset": source, "options": training})
    digest = dataset_digest or present_digest(source)
    if digest is None:
        _print("the dataset is not looked at: it has no dataset.json to ask; --dataset-digest says what it is now")
    champion = champion_of(parse_source(source).name, uri, model)
    decision = decide(profile, champion, digest, max_age_days, time.time())
    for reason in decision.reasons:
        _print(f"due: {reason}")
    if not decision.reasons:
        _print(f"not due: nothing changed since the champion, version {champion.version if champion else ''}")
    if dry_run or not (decision.reasons or force):
        return 0
    name = f"{order.package.name}-retrain-{decision.key}"
    claimed = claim(order.api, name, attempts, force)
    if claimed.experiment_id is None:
        _print(f"nothing submitted: {claimed.reason}")
        return 0
    return _submit(order, claimed.experiment_id, name, options, waiting, wait)


def schedule(
    options: RunOptions,
    cron: Annotated[str, typer.Option(help="Six fields, seconds first: '0 17 3 * * *'.")],
    name: Annotated[str | None, typer.Option(help="Of the recurring run; default: the pipeline's.")] = None,
) -> int:
    """Make a recurring run of a profile's pipeline, enabled, one run at a time."""
    from pipelines.submit import CRON_FIELDS
    from pipelines.submit import schedule as make_recurring

    order = _order(options, None)
    if len(cron.split()) != CRON_FIELDS:
        raise BadInput(f"--cron {cron!r}: six fields, seconds first: '0 17 3 * * *' is 3:17 every day")
    name = name or order.package.name
    experiment = order.api.experiment(options.experiment_name)
    found = make_recurring(order.api, order.package, experiment, name, cron, order.parameters)
    _print(f"recurring run {name}, enabled: {order.api.at.label}/#/recurringrun/details/{found}")
    return 0


def doctor(
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Look at a cluster; `dualgan doctor` looks at this machine.")
    ] = False,
    profile: Annotated[str, typer.Option(metavar="NAME|FILE", help=f"Whose needs. {PROFILE_HELP}")] = CLUSTER_PROFILE,
    context: Annotated[str | None, typer.Option(help="A context of the kubeconfig; default: the current one.")] = None,
    namespace: Annotated[str, typer.Option(help="Where KFP executes runs.")] = "kubeflow",
    kfp_namespace: Annotated[str, typer.Option(help="Where KFP itself is.")] = "kubeflow",
    tracking_namespace: Annotated[str, typer.Option(help="Where our own MLflow is, if it is.")] = "dualgan-parity",
    service_account: Annotated[
        str | None,
        typer.Option(help="That tasks have; default: pipeline-runner, in another namespace default-editor."),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="Address of KFP as seen from here; default: KFP_ENDPOINT, else its service.")
    ] = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option(help="Address of MLflow as seen from here; default: MLFLOW_TRACKING_URI, else that of tasks."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> int:
    """Look at a cluster and list what a profile's pipeline needs there; nothing is changed.

    With the credentials of your kubeconfig it looks for Kubeflow Pipelines, MLflow, pools of accelerators, secrets and
    rights. Each line says ok, missing or cannot tell, and what to do. What runs can do without is marked (optional).

    Exit codes: 0 all that is required is there; 1 something is missing or could not be seen, or the cluster does not
    answer; 2 wrong input.
    """
    if not cluster:
        raise BadInput("say --cluster; for the accelerators of this machine: dualgan doctor")
    # Kubernetes' client takes a second to import.
    from pipelines.doctor.check import Place
    from pipelines.doctor.checks import doctor as examine

    account = "pipeline-runner" if namespace == kfp_namespace else "default-editor"
    place = Place(
        kfp_namespace,
        namespace,
        tracking_namespace,
        service_account or account,
        endpoint or os.environ.get("KFP_ENDPOINT", ""),
        tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", ""),
    )
    text, code = examine(profile, context, place, json)
    print(text)
    return code


def _order(options: RunOptions, file: Path | None) -> Order:
    """Check the package and its parameters. Raises BadInput."""
    from pipelines.kfp_api import KfpApi, endpoint
    from pipelines.local_run import check_parameters
    from pipelines.package import package_of, read_package
    from pipelines.profile import load_profile

    if options.retries < 0:
        raise BadInput(f"--retries {options.retries}: must be 0 or more")
    profile = load_profile(options.profile).with_seeds(options.seed, options.seeds)
    package = read_package(file) if file else package_of(profile)
    parameters = package.parsed(options.parameter or ())
    if options.dataset:
        parameters["dataset"] = options.dataset
    if options.option:
        parameters["options"] = {**parameters.get("options", {}), **training_options(options.option)}
    package.checked(parameters)
    source = parameters.get("dataset") or profile.source(package.defaults.get("dataset"))
    if not file and (parameters.get("options") or source != profile.dataset):
        # What a published model is tagged with must be what it was trained with, and secrets are for this source.
        options_of_run = {**profile.options, **parameters.get("options", {})}
        profile = profile.model_copy(update={"dataset": source, "options": options_of_run})
        package = package_of(profile)
    check_parameters(source, {**profile.options, **parameters.get("options", {})})
    api = KfpApi(endpoint(options.endpoint, options.namespace, retries=options.retries))
    return Order(profile, package, parameters, api)


def _check_seconds(waiting: WaitOptions) -> None:
    for name in ("poll", "timeout", "patience"):
        value = getattr(waiting, name)
        if value is not None and not 0 <= value < float("inf"):
            raise BadInput(f"--{name} {value}: must be seconds, 0 or more")


def _submit(
    order: Order, experiment_id: str, name: str, options: RunOptions, waiting: WaitOptions, is_waiting: bool
) -> int:
    from components.compare.verdict import EXIT_CODES
    from pipelines.kfp_api import Lost
    from pipelines.read_verdict import read_verdict, verdict_in_logs
    from pipelines.submit import Submission, Waiting, page_of, wait
    from pipelines.submit import submit as submit_run

    api, package = order.api, order.package
    run_id = submit_run(api, Submission(package, experiment_id, name, order.parameters, options.service_account))
    _print(f"submitted: {name}\nrun: {page_of(api, run_id)}")
    if not is_waiting:
        return 0
    try:
        wait(api, run_id, package, Waiting(waiting.poll, waiting.timeout, waiting.patience), _print)
    except KeyboardInterrupt:
        if not waiting.cancel_on_interrupt:
            _print(f"run {run_id} goes on")
        else:
            api.cancel(run_id)
            _print(f"run {run_id} is cancelled")
        raise
    except Lost:
        raise
    except DualGANError:
        # The task that sends all to MLflow may fail, or still wait for it, days after the comparison.
        logged = None
        with contextlib.suppress(DualGANError):
            logged = verdict_in_logs(api, run_id, package)
        if logged:
            _print(f"its comparison came to its end all the same: {logged.verdict}, kept at {logged.address}")
        raise
    try:
        judged = read_verdict(api, run_id, package, options.tracking_uri)
    except DualGANError as error:
        raise DualGANError(f"run {run_id} succeeded; its verdict is not known: {error}") from None
    _print(f"the verdict is from {judged.source}")
    _print(f"verdict: {judged.verdict}")
    return EXIT_CODES[judged.verdict]


def _print(line: str) -> None:
    print(line, flush=True)
