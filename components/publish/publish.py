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
from components.publish.candidate import Candidate, checked_name, model_name, read_candidate
from components.publish.package import export_graphs
from components.publish.promotion import CHALLENGER, CHAMPION, LOSSES, Promotion, Standing, decide
from components.publish.registry import (
    PARITY_PREFIX,
    STEP_TAG,
    SUMMARY_PREFIX,
    Entry,
    find_version,
    link_metrics,
    register,
    standing_of,
)
from components.tracking.comparison_view import CANDIDATE, log_comparison
from components.tracking.placement import Placement, read_placement
from components.tracking.reasons import artifact_address, patiently
from components.tracking.runs import PipelineRun, open_experiment, pipeline_runs
from components.tracking.store import connect, resolve_tracking_uri
from components.tracking.sync import RunFolderSync
from components.tracking.ui import model_url, run_url, ui_address
from components.train.code_version import code_digest
from components.train.leg import LegSettings
from dualgan.errors import DualGANError
from dualgan.json_files import read_json


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
    placement: Placement | None = None,
    *,
    model: Path | None = None,
    leg: LegSettings | None = None,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    others: Sequence[Path] = (),
    hours: float = 0.0,
) -> Published:
    """Register the candidate whose run folder is ``run``, judged by the comparison folder ``comparison``.

    Whatever MLflow lacks of the run, of the others and of the comparison is sent first. Published again, a candidate
    keeps its version.

    Args:
        run: The candidate's run folder, with or without its checkpoints.
        comparison: The output folder of the comparison.
        placement: Where the run belongs in MLflow; what it leaves open comes from the file beside the run folder, from
            MLFLOW_TRACKING_URI, and from options.json.
        model: The folder of the checkpoints, if a pipeline keeps them apart from the rest of the run folder.
        leg: What exports it; without it the runtime that the file names.
        name: The registered model's, by default the dataset's.
        tags: More tags of the version.
        others: Run folders of the other seeds and of the reference, which belong to the same pipeline run.
        hours: How long to wait for an MLflow that is away.

    Returns:
        The version, and which aliases it has.

    Raises:
        BadInput: The run or the comparison is not what it should be, said in one line.
        DualGANError: MLflow refuses, or stayed away, said in one line.
    """
    place = (placement or Placement()).completed(read_placement(run)).with_environment()
    candidate = read_candidate(leg.name if leg else place.leg, run, comparison)
    place = replace(place, leg=candidate.leg)
    registered = checked_name(name) if name is not None else model_name(candidate.options.dataset.name)
    kind = candidate.options.environment.device.kind
    exporting = leg or LegSettings(candidate.leg, place.runtime or "tf2", kind, place.role or "candidate")
    with tempfile.TemporaryDirectory() as folder:
        graphs = Path(folder) / "graphs"
        export_graphs(exporting, model or run, graphs)
        try:
            published = patiently(
                lambda: _publish(candidate, place, graphs, registered, tags or {}, others),
                resolve_tracking_uri(place.tracking_uri),
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
    place: Placement,
    graphs: Path,
    name: str,
    recipe: Mapping[str, str],
    others: Sequence[Path],
) -> Published:
    sync = RunFolderSync(candidate.run, place)
    sent = _send(sync)
    for folder in others:
        # Of the same pipeline run, but the leg is its own.
        own = read_placement(folder)
        beside = replace(place, leg=own.leg, role=own.role, runtime=own.runtime)
        sent |= _send(RunFolderSync(folder, beside))
    client = connect(sync.tracking_uri)
    run = client.get_run(sync.run_id)
    parent = _comparison_run(client, candidate, sync.leg_run.pipeline, renew=sent)
    signature = read_json(graphs / "signature.json")
    step = int(signature["step"])
    entry = Entry(
        name=name,
        tags={**recipe, **_tags(candidate, run, parent), "code_digest": code_digest(), STEP_TAG: str(step)},
        params={name: str(value) for name, value in run.data.params.items()},
        dataset_name=candidate.options.dataset.name,
        dataset_digest=candidate.options.dataset.digest,
        description=_description(candidate, ui_address(sync.tracking_uri), run, parent),
    )
    version = find_version(client, name, run.info.run_id, step)
    if version is None:
        version = register(client, entry, run, graphs, signature)
    for key, value in entry.tags.items():
        if version.tags.get(key) != value:
            client.set_model_version_tag(name, version.version, key, value)
    link_metrics(client, version, entry, run, SUMMARY_PREFIX)
    link_metrics(client, version, entry, parent, PARITY_PREFIX)
    promotion = _set_aliases(client, candidate, name, str(version.version))
    aliases = tuple(sorted(client.get_model_version(name, version.version).aliases))
    ui = ui_address(sync.tracking_uri)
    return Published(
        name=name,
        version=str(version.version),
        aliases=aliases,
        reason=f"{'champion' if promotion.champion else 'not made champion'}: {promotion.reason}",
        uri=f"models:/{name}@{CHAMPION if CHAMPION in aliases else CHALLENGER}",
        tracking_uri=str(sync.tracking_uri),
        page=model_url(ui, name, str(version.version)) if ui else None,
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
        if run.data.tags.get(f"{CANDIDATE}{candidate.leg}") == candidate.verdict and not renew:
            return run
    return client.get_run(log_comparison(client, pipeline, candidate.comparison))


def _tags(candidate: Candidate, run: Run, parent: Run) -> dict[str, str]:
    """Return what makes a version findable, and what the next candidate is held against."""
    from_run = ("pipeline_run_id", "seed", "device", "runtime", "tensorflow", "git_commit", "cuda", "cann")
    return {
        **{name: run.data.tags[name] for name in from_run if name in run.data.tags},
        "leg": candidate.leg,
        "reference": candidate.reference,
        "dataset": candidate.options.dataset.name,
        "dataset_digest": candidate.options.dataset.digest,
        "image_size": str(candidate.image_size),
        "verdict": candidate.verdict,
        "comparison_run_id": str(parent.info.run_id),
        **{name: repr(candidate.losses[name]) for name in LOSSES if name in candidate.losses},
    }


def _description(candidate: Candidate, ui: str | None, run: Run, parent: Run) -> str:
    """Return Markdown for the page of the version."""
    evidence = ", ".join(
        f"[{what}]({run_url(ui, one.info.experiment_id, one.info.run_id)})" if ui else f"{what}: run {one.info.run_id}"
        for what, one in (("training", run), ("comparison", parent))
    )
    return (
        f"DualGAN generators A2B and B2A of leg {candidate.leg}, trained on {candidate.options.dataset.name}.\n\n"
        f"**{candidate.verdict}**: {candidate.reason}\n\nEvidence: {evidence}"
    )


def _set_aliases(client: MlflowClient, candidate: Candidate, name: str, version: str) -> Promotion:
    client.set_registered_model_alias(name, CHALLENGER, version)
    own = Standing(version, candidate.verdict, candidate.options.dataset.digest, candidate.image_size, candidate.losses)
    promotion = decide(own, standing_of(client, name, CHAMPION), candidate.max_loss_ratio)
    if promotion.champion:
        client.set_registered_model_alias(name, CHAMPION, version)
    return promotion
