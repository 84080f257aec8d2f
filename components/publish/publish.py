"""Publish a candidate: into MLflow's model registry, with its evidence, under the alias that this allows."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from components.common.console import print_status
from components.compare.verdict import join
from components.publish.candidate import (
    CHALLENGER,
    CHAMPION,
    Candidate,
    Promotion,
    Standing,
    checked_name,
    decide,
    model_name,
    read_candidate,
)
from components.publish.registry import (
    STEP_TAG,
    Graphs,
    export_graphs,
    find_version,
    link_metrics,
    logged_model_id,
    register,
)
from components.tracking.comparison_view import CANDIDATE, log_comparison
from components.tracking.reasons import artifact_address, patiently
from components.tracking.runs import PipelineRun, open_experiment, pipeline_runs, version_with_alias
from components.tracking.store import connect, resolve_tracking_uri
from components.tracking.sync import RunFolderSync
from components.tracking.target import TrackingTarget, read_target
from components.tracking.ui import model_url, run_url, ui_address
from components.train.leg import LegSettings
from components.train.runtimes import code_digest
from dualgan.errors import DualGANError

# Metrics of the leg's run that say how good the model is, the curves stay with the run; and of the comparison.
SUMMARY_PREFIX, PARITY_PREFIX = "summary/", "parity/"
# Of the leg's run, for its model.
RUN_TAGS = ("pipeline_run_id", "seed", "device", "runtime", "tensorflow", "git_commit", "cuda", "cann")


@dataclass(frozen=True)
class Published:
    """A model version, its aliases, and why it is or is not the champion."""

    name: str
    version: str
    aliases: tuple[str, ...]
    reason: str
    uri: str
    tracking_uri: str
    page: str | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def publish(
    run: Path,
    comparison: Path,
    target: TrackingTarget | None = None,
    *,
    model: Path | None = None,
    leg: LegSettings | None = None,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    others: Sequence[Path] = (),
    hours: float = 0.0,
) -> Published:
    """Send what MLflow lacks, and register a candidate; published again, it keeps its version.

    Args:
        run: The candidate's run folder, with or without its checkpoints.
        comparison: The output folder of the comparison that judged it.
        target: Where the run belongs in MLflow; what it leaves open comes from the file beside the run folder, from
            MLFLOW_TRACKING_URI, and from options.json.
        model: The folder of the checkpoints, if a pipeline keeps them apart from the rest of the run folder.
        leg: What exports it; without it the runtime that the file names.
        name: The registered model's, by default the dataset's.
        tags: More tags of the version.
        others: Run folders of the other seeds and of the reference, which belong to the same pipeline run.
        hours: How long to wait for an MLflow that is away.

    Raises:
        BadInput: The run or the comparison is not what it should be.
        DualGANError: MLflow refuses, or stayed away.
    """
    target = (target or TrackingTarget()).completed(read_target(run)).with_environment()
    candidate = read_candidate(leg.name if leg else target.leg, run, comparison)
    target = replace(target, leg=candidate.leg)
    registered = checked_name(name) if name is not None else model_name(candidate.options.dataset.name)
    kind = candidate.options.environment.device.kind
    exporting = leg or LegSettings(candidate.leg, target.runtime or "tf2", kind, target.role or "candidate")
    with tempfile.TemporaryDirectory() as folder:
        graphs = export_graphs(exporting, model or run, Path(folder) / "graphs")
        try:
            published = patiently(
                lambda: _publish(candidate, target, graphs, registered, tags or {}, others),
                resolve_tracking_uri(target.tracking_uri),
                hours,
                lambda text: print_status(f"publish: {text}"),
            )
        except DualGANError as error:
            kept = artifact_address(comparison)
            raise type(error)(f"{error}; the comparison is kept at {kept}") if kept else error from error
    print_status(f"publish: {published.name} version {published.version} is {join(published.aliases)}")
    print_status(f"publish: {published.reason}")
    return published


def _publish(
    candidate: Candidate,
    target: TrackingTarget,
    graphs: Graphs,
    name: str,
    more_tags: Mapping[str, str],
    others: Sequence[Path],
) -> Published:
    sync = RunFolderSync(candidate.run, target)
    sent = _send(sync)
    for folder in others:
        # Of the same pipeline run, but the leg is its own.
        own = read_target(folder)
        sent |= _send(RunFolderSync(folder, replace(target, leg=own.leg, role=own.role, runtime=own.runtime)))
    client, ui = connect(sync.tracking_uri), ui_address(sync.tracking_uri)
    run = client.get_run(sync.run_id)
    parent = _comparison_run(client, candidate, sync.leg_run.pipeline, renew=sent)
    tags = {
        **more_tags,
        **{tag: run.data.tags[tag] for tag in RUN_TAGS if tag in run.data.tags},
        **candidate.tags(),
        "comparison_run_id": str(parent.info.run_id),
        "code_digest": code_digest(),
        STEP_TAG: str(graphs.step),
    }
    version = find_version(client, name, run.info.run_id, graphs.step)
    if version is None:
        version = register(client, name, run, graphs, tags, _description(candidate, ui, run, parent))
    number, model_id, dataset = str(version.version), logged_model_id(version), run.inputs.dataset_inputs[0].dataset
    for tag, value in tags.items():
        if version.tags.get(tag) != value:
            client.set_model_version_tag(name, number, tag, value)
    link_metrics(client, model_id, run, SUMMARY_PREFIX, dataset)
    link_metrics(client, model_id, parent, PARITY_PREFIX, dataset)
    promotion = _set_aliases(client, name, Standing.of(number, tags), candidate.comparison.bounds.max_loss_ratio)
    aliases = tuple(sorted(client.get_model_version(name, number).aliases))
    return Published(
        name=name,
        version=number,
        aliases=aliases,
        reason=f"{'champion' if promotion.champion else 'not made champion'}: {promotion.reason}",
        uri=f"models:/{name}@{CHAMPION if CHAMPION in aliases else CHALLENGER}",
        tracking_uri=str(sync.tracking_uri),
        page=model_url(ui, name, number) if ui else None,
    )


def _send(sync: RunFolderSync) -> bool:
    """Send what MLflow lacks of a training that has ended; return whether that was anything."""
    sent = sync.step(ended=True)
    if sent:
        print_status(f"publish: MLflow lacked {sent} of run {sync.run_id}")
    return bool(sent)


def _comparison_run(client: MlflowClient, candidate: Candidate, pipeline: PipelineRun, renew: bool) -> Run:
    """Return the pipeline's run with the comparison, which is logged if an outage left it out.

    ``renew``: runs got pictures or points that they had not when the comparison was logged.
    """
    experiment_id = open_experiment(client, pipeline.experiment)
    for run in pipeline_runs(client, experiment_id, pipeline.pipeline_run_id):
        if run.data.tags.get(f"{CANDIDATE}{candidate.leg}") == candidate.comparison.verdict and not renew:
            return run
    return client.get_run(log_comparison(client, pipeline, candidate.folder))


def _description(candidate: Candidate, ui: str | None, run: Run, parent: Run) -> str:
    """Return Markdown for the page of the version."""
    evidence = ", ".join(
        f"[{what}]({run_url(ui, one.info.experiment_id, one.info.run_id)})" if ui else f"{what}: run {one.info.run_id}"
        for what, one in (("training", run), ("comparison", parent))
    )
    return (
        f"DualGAN generators A2B and B2A of leg {candidate.leg}, trained on {candidate.options.dataset.name}.\n\n"
        f"**{candidate.comparison.verdict}**: {candidate.comparison.reason}\n\nEvidence: {evidence}"
    )


def _set_aliases(client: MlflowClient, name: str, own: Standing, max_loss_ratio: float) -> Promotion:
    client.set_registered_model_alias(name, CHALLENGER, own.version)
    before = version_with_alias(client, name, CHAMPION)
    champion = Standing.of(str(before.version), before.tags) if before else None
    promotion = decide(own, champion, max_loss_ratio)
    if promotion.champion:
        client.set_registered_model_alias(name, CHAMPION, own.version)
    return promotion
