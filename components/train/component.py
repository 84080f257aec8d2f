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
    kept: str = "",
) -> None:
    """Train one leg, whose losses go to MLflow while it trains.

    records: the run folder without its checkpoints. model: the checkpoints and what loads them. metrics: the figures
    that KFP compares runs by. kept: s3://bucket/prefix where checkpoints go while it trains, and from where a task's
    next try goes on; "" keeps none.
    """
    from pathlib import Path

    from components.tracking.placement import Placement
    from components.train.figures import figures
    from components.train.leg import leg_settings
    from components.train.train import train

    place = Placement(tracking_uri=tracking_uri or None, experiment=experiment or None, pipeline_run_id=pipeline_run_id)
    summary = train(
        leg_settings(leg),
        Path(dataset.path),
        Path(records.path),
        model=Path(model.path),
        overrides=overrides,
        seed=seed,
        placement=place,
        kept=f"{kept}/{pipeline_run_id}/{leg['name']}-seed-{seed}" if kept else None,
    )
    for name, value in figures(summary).items():
        metrics.log_metric(name, value)
