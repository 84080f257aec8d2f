"""The KFP component that publishes a candidate."""

from kfp import dsl


def publish(
    leg: dict,  # type: ignore[type-arg]
    records: dsl.Input[dsl.Artifact],
    model: dsl.Input[dsl.Model],
    comparison: dsl.Input[dsl.Artifact],
    pipeline_run_id: str,
    tracking_uri: str,
    experiment: str,
    registered: dsl.Output[dsl.Artifact],
    tags: dict = {},  # type: ignore[type-arg]  # noqa: B006 - KFP takes the default as a constant
) -> str:
    """Register the candidate in MLflow, as challenger and perhaps as champion; the address of the model."""
    from pathlib import Path

    from components.publish.publish import publish
    from components.tracking.placement import Placement
    from components.train.leg import leg_settings
    from dualgan.run_folder import write_json

    place = Placement(tracking_uri=tracking_uri or None, experiment=experiment or None, pipeline_run_id=pipeline_run_id)
    published = publish(
        Path(records.path),
        Path(comparison.path),
        place,
        model=Path(model.path),
        leg=leg_settings(leg),
        tags=tags,
    )
    write_json(Path(registered.path), published.to_json())
    registered.metadata.update(published.to_json())
    return published.uri
