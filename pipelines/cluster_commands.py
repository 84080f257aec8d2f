"""The verbs of the command line that speak with a cluster's KFP: submit, retrain, schedule."""

import argparse
import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.compare.__main__ import EXIT_CODES
from components.dataset.sources import LocalFolder, S3Location, parse_source
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import read_json
from pipelines.local_run import check_parameters
from pipelines.profile import Profile, known_profiles, load_profile

if TYPE_CHECKING:
    from pipelines.kfp_api import KfpApi
    from pipelines.package import Package
    from pipelines.submit import Waiting

Say = Callable[[str], None]
VERBS = ("submit", "retrain", "schedule")
EXPERIMENT = "dualgan-parity"

SUBMIT_HELP = """Submit a profile's pipeline to the KFP at --endpoint, wait for its end, and say what it came to.

Exit codes: 0 pass, 3 fail, 4 inconclusive (the verdict is MLflow's, or if it has none that of the comparison's log in
KFP); 1 the run failed, was cancelled or is not over in time; 2 wrong input, and then nothing was submitted. With
--no-wait: 0 once it is submitted."""
RETRAIN_HELP = """Train again if that is due: the dataset, the trainer's code, the images, the options or the bounds
are others than the champion's, or the champion is too old. However many call it at the same time, one run
is submitted; its last step makes the new model champion
only if the verdict allows it. Exit code 0 whether or not it was due; with --wait that of
submit."""
SCHEDULE_HELP = "Make a recurring run of a profile's pipeline, enabled, one run at a time."


def add_commands(commands: Any) -> None:
    """Add the verbs to an argparse parser's sub-commands."""
    for name, help_text, description in (
        ("submit", "run it on a cluster, and wait for the verdict", SUBMIT_HELP),
        ("retrain", "run it on a cluster if code, data or age ask for it", RETRAIN_HELP),
        ("schedule", "run it on a cluster again and again", SCHEDULE_HELP),
    ):
        command = commands.add_parser(
            name, help=help_text, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        _add_shared(command)
        if name != "schedule":
            _add_waiting(command, waits=name == "submit")
        if name == "submit":
            command.add_argument("--package", type=Path, help="a compiled package, instead of a profile's")
            command.add_argument("--run-name", help="default: the pipeline's name and the time")
        if name == "retrain":
            command.add_argument("--model", help="registered model (default: that of the dataset's name)")
            command.add_argument("--max-age-days", type=float, help="how old a champion may be (default: any age)")
            command.add_argument("--dataset-digest", help="digest of the data as they are now, from their dataset.json")
            command.add_argument("--attempts", type=int, default=3, help="runs that may fail (default: 3)")
            command.add_argument("--force", action="store_true", help="train even if nothing asks for it")
            command.add_argument("--dry-run", action="store_true", help="say whether it is due, submit nothing")
        if name == "schedule":
            command.add_argument("--cron", required=True, help="six fields, seconds first: '0 17 3 * * *'")
            command.add_argument("--name", help="of the recurring run (default: the pipeline's)")


def _add_shared(command: argparse.ArgumentParser) -> None:
    known = ", ".join(known_profiles())
    command.add_argument("--profile", default="ascend910-vs-gpu", help=f"one of {known}, or a .yaml file")
    command.add_argument("--endpoint", help="address of KFP (default: KFP_ENDPOINT); a token is KFP_EXISTING_TOKEN's")
    command.add_argument("--namespace", help="where runs execute, in a KFP with many users (default: KFP_NAMESPACE)")
    command.add_argument("--experiment-name", default=EXPERIMENT, help=f"KFP's experiment (default: {EXPERIMENT})")
    command.add_argument("--service-account", help="of the run's pods (default: KFP's)")
    command.add_argument("--dataset", help="a source (default: the profile's)")
    command.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="a training option")
    command.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="of the pipeline")
    command.add_argument("--tracking-uri", help="MLflow, as seen from here (default: MLFLOW_TRACKING_URI)")
    command.add_argument("--seed", type=int, help="the first seed")
    command.add_argument("--seeds", type=int, metavar="COUNT", help="how many seeds (default: the profile's)")
    command.add_argument("--retries", type=int, default=3, help="further tries of a call to KFP (default: 3)")


def _add_waiting(command: argparse.ArgumentParser, waits: bool) -> None:
    command.add_argument("--wait", action=argparse.BooleanOptionalAction, default=waits, help="until the run's end")
    command.add_argument("--timeout", type=float, metavar="SECONDS", help="give up waiting; the run goes on")
    command.add_argument("--poll", type=float, default=5.0, metavar="SECONDS", help="between two looks (default: 5)")
    command.add_argument("--patience", type=float, default=900.0, metavar="SECONDS", help="with a KFP that is away")
    command.add_argument("--cancel-on-interrupt", action="store_true", help="end the run when Ctrl-C ends the waiting")


def perform(options: argparse.Namespace, say: Say) -> int:
    """Do what one of VERBS asks for; the exit code. Raises BadInput or DualGANError in one line."""
    from pipelines.kfp_api import KfpApi, endpoint

    if options.retries < 0:
        raise BadInput(f"--retries {options.retries}: must be 0 or more")
    profile = load_profile(options.profile).with_seeds(options.seed, options.seeds)
    package, parameters = _asked(profile, options)
    api = KfpApi(endpoint(options.endpoint, options.namespace, retries=options.retries))
    if options.command == "schedule":
        return _schedule(api, package, parameters, options, say)
    waiting = _waiting(options)
    if options.command == "retrain":
        return _retrain(api, profile, package, parameters, waiting, options, say)
    name = options.run_name or f"{package.name} {time.strftime('%Y-%m-%d %H:%M:%S')}"
    return _submit(api, package, parameters, api.experiment(options.experiment_name), name, waiting, options, say)


def _asked(profile: Profile, options: argparse.Namespace) -> "tuple[Package, dict[str, Any]]":
    """The package and its parameters, all of them checked."""
    from pipelines.package import package_of, read_package

    given = getattr(options, "package", None)
    package = read_package(given) if given else package_of(profile)
    parameters = package.parsed(options.parameter)
    if options.dataset:
        parameters["dataset"] = options.dataset
    if options.option:
        parameters["options"] = {**parameters.get("options", {}), **dict(map(_assignment, options.option))}
    package.checked(parameters)
    source = parameters.get("dataset") or profile.source(package.defaults.get("dataset"))
    check_parameters(source, {**profile.options, **parameters.get("options", {})})
    return package, parameters


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"--option {text}: must be NAME=VALUE, such as max_steps=100")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _waiting(options: argparse.Namespace) -> "Waiting":
    from pipelines.submit import Waiting

    for name in ("poll", "timeout", "patience"):
        value = getattr(options, name)
        if value is not None and not 0 <= value < float("inf"):
            raise BadInput(f"--{name} {value}: must be seconds, 0 or more")
    return Waiting(options.poll, options.timeout, options.patience)


def _submit(
    api: "KfpApi",
    package: "Package",
    parameters: dict[str, Any],
    experiment_id: str,
    name: str,
    waiting: "Waiting",
    options: argparse.Namespace,
    say: Say,
) -> int:
    from pipelines.kfp_api import Lost
    from pipelines.submit import Submission, page_of, submit, wait
    from pipelines.verdict_of_run import verdict_in_logs, verdict_of

    run_id = submit(api, Submission(package, experiment_id, name, parameters, options.service_account))
    say(f"submitted: {name}\nrun: {page_of(api, run_id)}")
    if not options.wait:
        return 0
    try:
        wait(api, run_id, package, waiting, say)
    except KeyboardInterrupt:
        if not options.cancel_on_interrupt:
            say(f"run {run_id} goes on")
        else:
            api.cancel(run_id)
            say(f"run {run_id} is cancelled")
        raise
    except Lost:
        raise
    except DualGANError:
        # The task that sends all to MLflow may fail, or still wait for it, days after the comparison.
        logged = verdict_in_logs(api, run_id, package)
        if logged:
            say(f"its comparison came to its end all the same: {logged.verdict}, kept at {logged.address}")
        raise
    try:
        judged = verdict_of(api, run_id, package, options.tracking_uri)
    except DualGANError as error:
        raise DualGANError(f"run {run_id} succeeded; its verdict is not known: {error}") from None
    say(f"the verdict is from {judged.source}")
    say(f"verdict: {judged.verdict}")
    return EXIT_CODES[judged.verdict]


def _retrain(
    api: "KfpApi",
    profile: Profile,
    package: "Package",
    parameters: dict[str, Any],
    waiting: "Waiting",
    options: argparse.Namespace,
    say: Say,
) -> int:
    from pipelines.retrain import champion_of, claim, decide

    uri = options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise BadInput("which model is champion is in MLflow: give --tracking-uri, or set MLFLOW_TRACKING_URI")
    if options.max_age_days is not None and not options.max_age_days > 0:
        raise BadInput(f"--max-age-days {options.max_age_days}: must be above 0")
    if options.attempts < 1:
        raise BadInput(f"--attempts {options.attempts}: must be 1 or more")
    source = profile.source(parameters.get("dataset"))
    profile = profile.model_copy(
        update={"dataset": source, "options": {**profile.options, **parameters.get("options", {})}}
    )
    digest = options.dataset_digest or _present_digest(source)
    if digest is None:
        say("the dataset is not looked at: it has no dataset.json to ask; --dataset-digest says what it is now")
    champion = champion_of(parse_source(source).name, uri, options.model)
    decision = decide(profile, champion, digest, options.max_age_days, time.time())
    for reason in decision.reasons:
        say(f"due: {reason}")
    if not decision.reasons:
        say(f"not due: nothing changed since the champion, version {champion.version if champion else ''}")
    if options.dry_run or not (decision.reasons or options.force):
        return 0
    name = f"{package.name}-retrain-{decision.key}"
    claimed = claim(api, name, options.attempts, options.force)
    if claimed.experiment_id is None:
        say(f"nothing submitted: {claimed.reason}")
        return 0
    return _submit(api, package, parameters, claimed.experiment_id, name, waiting, options, say)


def _present_digest(source: str) -> str | None:
    """What the dataset.json of a folder says, here or in S3; None where a source has none, or its form no such file."""
    place = parse_source(source)
    if isinstance(place, LocalFolder) and (place.path / "dataset.json").is_file():
        with contextlib.suppress(ValueError):
            digest = read_json(place.path / "dataset.json").get("digest")
            return str(digest) if digest else None
    if not isinstance(place, S3Location):
        return None
    from components.common.s3 import client, failures, object_at, read_object
    from components.dataset.collection import MAX_MANIFEST, read_manifest

    s3, key = client(), f"{place.key}/dataset.json".lstrip("/")
    with failures(place.source, place.bucket):
        if object_at(s3, place.bucket, key) is None:
            return None
        found = read_manifest(read_object(s3, place.bucket, key, MAX_MANIFEST))
    return found.digest if found else None


def _schedule(
    api: "KfpApi", package: "Package", parameters: dict[str, Any], options: argparse.Namespace, say: Say
) -> int:
    from pipelines.schedule import CRON_FIELDS, schedule

    if len(options.cron.split()) != CRON_FIELDS:
        raise BadInput(f"--cron {options.cron!r}: six fields, seconds first: '0 17 3 * * *' is 3:17 every day")
    name = options.name or package.name
    found = schedule(api, package, api.experiment(options.experiment_name), name, options.cron, parameters)
    say(f"recurring run {name}, enabled: {api.at.url}/#/recurringrun/details/{found}")
    return 0
