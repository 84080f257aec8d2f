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
    run: dsl.Output[dsl.Model],
    kept: str = "",
) -> None:
    """Train one leg; ``run`` is its run folder, and its losses go to MLflow while it trains.

    kept: s3://bucket/prefix where checkpoints go while it trains, and from where a task's next try goes on; "" keeps
    none.
    """
    from pathlib import Path

    from components.tracking.placement import Placement
    from components.train.leg import leg_settings
    from components.train.train import train

    place = Placement(tracking_uri=tracking_uri or None, experiment=experiment or None, pipeline_run_id=pipeline_run_id)
    run.metadata.update(
        train(
            leg_settings(leg),
            Path(dataset.path),
            Path(run.path),
            overrides=overrides,
            seed=seed,
            placement=place,
            kept=f"{kept}/{pipeline_run_id}/{leg['name']}-seed-{seed}" if kept else None,
        )
    )
