"""Commands that speak with a cluster: submit, retrain, schedule, doctor."""

import contextlib
import functools
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.common.cli import command, positive, training_options
from components.common.console import print_line as print
from dualgan.errors import BadInput, DualGANError
from parity.options import PROFILE_HELP, Dataset, ImageOptions, Profile, Seed, Seeds, TrainingOptions

if TYPE_CHECKING:
    from pipelines.kfp_api import KfpApi
    from pipelines.profile import Profile as LoadedProfile
    from pipelines.submit import Order

PANEL, KFP, WAITING = "On a cluster", "Kubeflow Pipelines", "Waiting"
CLUSTER_PROFILE = "ascend910-vs-gpu"
EXPERIMENT = "dualgan-parity"
PackageFile = Annotated[Path | None, typer.Option(metavar="FILE", help="A compiled package, instead of a profile's.")]
_kfp = functools.partial(typer.Option, rich_help_panel=KFP)
_waiting = functools.partial(typer.Option, rich_help_panel=WAITING)
Namespace = Annotated[str | None, _kfp(help="Where runs execute, in a KFP with many users; default: KFP_NAMESPACE.")]


@dataclass(frozen=True)
class ConnectionOptions:
    """Options of each command that asks KFP."""

    endpoint: Annotated[
        str | None, _kfp(help="Address of KFP; default: KFP_ENDPOINT. A token is KFP_EXISTING_TOKEN's.")
    ] = None
    ca_file: Annotated[
        str | None, _kfp(metavar="FILE", help="Certificates to trust; default: REQUESTS_CA_BUNDLE, SSL_CERT_FILE.")
    ] = None
    header: Annotated[
        list[str] | None,
        _kfp(metavar="NAME=VALUE", help="For a login before KFP; may be repeated. Cookies are KFP_COOKIES'."),
    ] = None


@dataclass(frozen=True)
class RunOptions(ImageOptions, ConnectionOptions):
    """Options of each command that makes runs on a cluster."""

    profile: Profile = CLUSTER_PROFILE
    namespace: Namespace = None
    upload: Annotated[
        bool,
        _kfp("--upload", help="First make the package a version of its pipeline, as `parity upload` does."),
    ] = False
    experiment_name: Annotated[str, _kfp(help="KFP's experiment.")] = EXPERIMENT
    service_account: Annotated[str | None, _kfp(help="Of the run's pods; default: KFP's.")] = None
    pipeline_root: Annotated[str | None, _kfp(metavar="URI", help="Where artifacts go; default: KFP's.")] = None
    retries: Annotated[int, _kfp(min=0, help="Further tries of a call to KFP.")] = 3
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


@dataclass(frozen=True)
class WaitOptions:
    """Options of how to wait for a run's end, in seconds."""

    timeout: Annotated[float | None, _waiting(min=0, metavar="SECONDS", help="Give up; the run goes on.")] = None
    poll: Annotated[float, _waiting(min=0, max=3600, metavar="SECONDS", help="Between two status requests.")] = 5.0
    patience: Annotated[float, _waiting(min=0, metavar="SECONDS", help="With a KFP that is away.")] = 900.0
    cancel_on_interrupt: Annotated[
        bool, _waiting("--cancel-on-interrupt", help="End the run when Ctrl-C ends the waiting.")
    ] = False


Wait = Annotated[bool, _waiting("--wait/--no-wait", help="Wait until the run's end.")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the application."""
    command(app, "submit", PANEL, "parity submit --profile gpu --dataset s3://team/faces")(submit)
    command(app, "retrain", PANEL, "parity retrain --dataset s3://team/faces --max-age-days 30 --dry-run")(retrain)
    command(app, "schedule", PANEL, "parity schedule --dataset s3://team/faces --cron '0 17 3 * * 0'")(schedule)
    command(app, "upload", PANEL, "parity upload --profile gpu --images images.json")(upload)
    command(app, "doctor", PANEL, "parity doctor --cluster --profile ascend910-vs-gpu")(doctor)


def submit(
    options: RunOptions,
    waiting: WaitOptions,
    wait: Wait = True,
    package: PackageFile = None,
    run_name: Annotated[str | None, typer.Option(help="Default: the pipeline's name and the time.")] = None,
    add_to: Annotated[
        str | None, typer.Option(metavar="RUN", help="Id of an earlier run, whose trainings are not done again.")
    ] = None,
) -> int:
    """Submit a profile's pipeline to the KFP at --endpoint, wait for its end, and print the verdict.

    Exit codes: 0 pass, 3 fail, 4 inconclusive (the verdict is MLflow's, or if it has none that of the comparison's log
    in KFP); 1 the run failed, was cancelled or is not over in time; 2 wrong input, and then nothing was submitted.
    With --no-wait: 0 once it is submitted. `--add-to RUN --seeds 6` trains the seeds that RUN did not, by KFP's cache,
    and compares all.
    """
    if add_to and options.upload:
        raise BadInput("--upload: with --add-to the package has RUN's id in it, which would track every run as RUN's")
    api, _, order = _checked(options, package)
    if add_to:
        api.run(add_to)
        order = replace(order, package=order.package.added_to(add_to), tracked_as=add_to)
    order = _uploaded(api, order, options)
    name = run_name or f"{order.package.name} {time.strftime('%Y-%m-%d %H:%M:%S')}"
    experiment_id = api.experiment(options.experiment_name)
    return _submit(api, order, experiment_id, name, options, waiting if wait else None)


def retrain(
    options: RunOptions,
    waiting: WaitOptions,
    wait: Wait = False,
    model: Annotated[str | None, typer.Option(help="Registered model; default: that of the dataset's name.")] = None,
    max_age_days: Annotated[
        float | None, typer.Option(parser=positive, help="How old a champion may be; default: any age.")
    ] = None,
    dataset_digest: Annotated[
        str | None, typer.Option(help="Digest of the data as they are now, from their dataset.json.")
    ] = None,
    attempts: Annotated[int, typer.Option(min=1, help="Runs that may fail.")] = 3,
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

    api, profile, order = _checked(options)
    uri = options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise BadInput("which model is champion is in MLflow: give --tracking-uri, or set MLFLOW_TRACKING_URI")
    digest = dataset_digest or present_digest(profile.dataset)
    if digest is None:
        print("the dataset is not looked at: it has no dataset.json to ask; --dataset-digest says what it is now")
    champion = champion_of(parse_source(profile.dataset).name, uri, model)
    reasons, key = decide(profile, champion, digest, max_age_days, time.time())
    for reason in reasons:
        print(f"due: {reason}")
    if not reasons:
        print(f"not due: nothing changed since the champion, version {champion.version if champion else ''}")
    if dry_run or not (reasons or force):
        return 0
    # Before the claim, which one that is refused would use up.
    order = _uploaded(api, order, options)
    name = f"{order.package.name}-retrain-{key}"
    experiment_id, taken = claim(api, name, attempts, force)
    if experiment_id is None:
        print(f"nothing submitted: {taken}")
        return 0
    return _submit(api, order, experiment_id, name, options, waiting if wait else None)


def schedule(
    options: RunOptions,
    cron: Annotated[str, typer.Option(help="Six fields, seconds first: '0 17 3 * * *'.")],
    name: Annotated[str | None, typer.Option(help="Of the recurring run; default: the pipeline's.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="In the place of those of that name.")] = False,
) -> int:
    """Make a recurring run of a profile's pipeline, enabled, one run at a time."""
    from pipelines.submit import CRON_FIELDS
    from pipelines.submit import schedule as make_recurring

    api, _, order = _checked(options)
    if len(cron.split()) != CRON_FIELDS:
        raise BadInput(f"--cron {cron!r}: six fields, seconds first: '0 17 3 * * *' is 3:17 every day")
    order = _uploaded(api, order, options)
    name = name or order.package.name
    made = make_recurring(api, order, api.experiment(options.experiment_name), name, cron, replace)
    print(f"recurring run {name}, enabled: {api.at.url}/#/recurringrun/details/{made}")
    return 0


def upload(
    connection: ConnectionOptions,
    images: ImageOptions,
    profile: Profile = CLUSTER_PROFILE,
    namespace: Namespace = None,
    package: PackageFile = None,
    seed: Seed = None,
    seeds: Seeds = None,
) -> int:
    """Make a profile's package a version of its pipeline in KFP, whose pages then start it and show what ran.

    The version is called after the revision of the code and a checksum of the package: what is there already stays.
    With --upload, `submit`, `retrain` and `schedule` do the same with what they run.
    """
    from pipelines.kfp_api import KfpApi
    from pipelines.kfp_endpoint import endpoint
    from pipelines.package import package_of, read_package
    from pipelines.profile import load_profile
    from pipelines.submit import upload_package

    _refuse_seeds(seed, seeds, package)
    chosen = images.used_by(load_profile(profile).with_seeds(seed, seeds), package)
    found = read_package(package) if package else package_of(chosen)
    at = endpoint(connection.endpoint, namespace, connection.ca_file, connection.header or ())
    upload_package(KfpApi(at), found, print)
    return 0


def doctor(
    connection: ConnectionOptions,
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
    tracking_uri: Annotated[
        str | None,
        typer.Option(help="Address of MLflow as seen from here; default: MLFLOW_TRACKING_URI, else that of tasks."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> int:
    """Look at a cluster and list what a profile's pipeline needs there; nothing is changed.

    With the credentials of your kubeconfig it looks for Kubeflow Pipelines (at --endpoint, else as its service),
    MLflow, pools of accelerators, secrets and rights. Each line says ok, missing or cannot tell, and what to do. What
    runs can do without is marked (optional).

    Exit codes: 0 all that is required is there; 1 something is missing or could not be seen, or the cluster does not
    answer; 2 wrong input.
    """
    if not cluster:
        raise BadInput("say --cluster; for the accelerators of this machine: dualgan doctor")
    # Kubernetes' client takes a second to import.
    from pipelines.doctor.checks import check_all, report
    from pipelines.doctor.cluster import Cluster, Examination
    from pipelines.doctor.needs import needs_of
    from pipelines.kfp_api import KfpApi
    from pipelines.kfp_endpoint import endpoint
    from pipelines.profile import load_profile

    kfp = None
    if connection.endpoint or os.environ.get("KFP_ENDPOINT"):
        kfp = KfpApi(endpoint(connection.endpoint, namespace, connection.ca_file, connection.header or (), retries=0))
    account = service_account or ("pipeline-runner" if namespace == kfp_namespace else "default-editor")
    mlflow = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    needs, found = needs_of(load_profile(profile)), Cluster(context)
    at = Examination(found, needs, kfp_namespace, namespace, tracking_namespace, account, kfp, mlflow)
    text, code = report(found.version(), profile, list(check_all(at)), json)
    print(text)
    return code


def _checked(options: RunOptions, file: Path | None = None) -> "tuple[KfpApi, LoadedProfile, Order]":
    """The KFP that is named, the profile as it is to be trained, and a checked order. Raises BadInput."""
    from pipelines.kfp_api import KfpApi
    from pipelines.kfp_endpoint import endpoint
    from pipelines.local_run import check_parameters
    from pipelines.package import package_of, read_package
    from pipelines.profile import load_profile
    from pipelines.submit import Order

    _refuse_seeds(options.seed, options.seeds, file)
    profile = options.used_by(load_profile(options.profile).with_seeds(options.seed, options.seeds), file)
    package = read_package(file) if file else package_of(profile)
    parameters = package.parsed(options.parameter or ())
    if options.dataset:
        parameters["dataset"] = options.dataset
    if options.option:
        parameters["options"] = {**parameters.get("options", {}), **training_options(options.option)}
    package.checked(parameters)
    training = {**profile.options, **parameters.get("options", {})}
    source = parameters.get("dataset") or profile.source(package.defaults.get("dataset"))
    if (source, training) != (profile.dataset, profile.options):
        # What a published model is tagged with must be what it was trained with, and secrets are for this source.
        profile = profile.model_copy(update={"dataset": source, "options": training})
        package = package if file else package_of(profile)
    check_parameters(source, training)
    at = endpoint(options.endpoint, options.namespace, options.ca_file, options.header or (), retries=options.retries)
    return KfpApi(at), profile, Order(package, parameters, options.service_account, options.pipeline_root)


def _refuse_seeds(seed: int | None, seeds: int | None, package: Path | None) -> None:
    if package and (seed, seeds) != (None, None):
        raise BadInput("--package: it has its seeds; `parity compile` takes --seed and --seeds")


def _uploaded(api: "KfpApi", order: "Order", options: RunOptions) -> "Order":
    from pipelines.submit import upload_package

    return replace(order, version=upload_package(api, order.package, print)) if options.upload else order


def _submit(
    api: "KfpApi", order: "Order", experiment_id: str, name: str, options: RunOptions, waiting: WaitOptions | None
) -> int:
    from components.compare.verdict import EXIT_CODES
    from pipelines.kfp_api import Unreachable
    from pipelines.read_verdict import read_verdict, verdict_in_logs
    from pipelines.submit import page_of, wait

    package, run_id = order.package, api.submit(order.to_api(experiment_id, name))
    print(f"submitted: {name}\nrun: {page_of(api, run_id)}")
    if not waiting:
        return 0
    try:
        wait(api, run_id, package, print, waiting.poll, waiting.timeout, waiting.patience)
    except KeyboardInterrupt:
        if waiting.cancel_on_interrupt:
            api.cancel(run_id)
        print(f"run {run_id} {'is cancelled' if waiting.cancel_on_interrupt else 'goes on'}")
        raise
    except Unreachable:
        raise
    except DualGANError:
        # The task that sends all to MLflow may fail, or still wait for it, days after the comparison.
        logged = None
        with contextlib.suppress(DualGANError):
            logged = verdict_in_logs(api, run_id, package)
        if logged:
            print(f"its comparison came to its end all the same: {logged.verdict}, kept at {logged.address}")
        raise
    try:
        judged = read_verdict(api, run_id, package, options.tracking_uri, order.tracked_as)
    except DualGANError as error:
        raise DualGANError(f"run {run_id} succeeded; its verdict is not known: {error}") from None
    print(f"the verdict is from {judged.source}\nverdict: {judged.verdict}")
    return EXIT_CODES[judged.verdict]
