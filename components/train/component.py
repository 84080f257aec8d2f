"""The KFP component that trains a leg."""

from kfp import dsl


def train(
    leg: dict,  # type: ignore[type-arg]
    dataset: dsl.Input[dsl.Dataset],
    overrides: dict,  # type: ignore[type-arg]
    seed: int,
    pipeline_run_id: str,
    tracking_uri: str,
    experiment: str,
    records: dsl.Output[dsl.Artifact],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    retries: int = 0,
    checkpoints: str = "",
) -> None:
    """Train one leg, whose losses go to MLflow while it trains.

    records: the run folder without its checkpoints. model: the checkpoints and what loads them. metrics: the figures
    that KFP compares runs by. retries: how often a trainer that dies is started again within the task. checkpoints:
    s3://bucket/prefix where checkpoints go while it trains, and from where a task's next try goes on; "" for nowhere.
    """
    from pathlib import Path

    from components.common.metadata import artifact_metadata
    from components.tracking.target import TrackingTarget, take_along
    from components.train.checkpoint_mirror import training_uri
    from components.train.leg import leg_settings
    from components.train.train import figures, train

    target = TrackingTarget(tracking_uri or None, experiment or None, pipeline_run_id)
    summary = train(
        leg_settings(leg),
        Path(dataset.path),
        Path(records.path),
        model=Path(model.path),
        overrides=overrides,
        seed=seed,
        target=target,
        retries=retries,
        checkpoint_uri=training_uri(checkpoints, pipeline_run_id, leg["name"], seed),
    )
    take_along(Path(records.path))
    measured = artifact_metadata(figures(summary))
    metrics.metadata.update(measured)
    for artifact in (records, model):
        artifact.metadata.update(measured, leg=leg["name"], seed=seed, status=summary["status"])
