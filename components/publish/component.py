"""The KFP component that publishes a candidate."""

from kfp import dsl


# KFP makes lists of artifacts by loops alone, which would hide legs and seeds in the graph: so one input each.
def publish(
    leg: dict,  # type: ignore[type-arg]
    model: dsl.Input[dsl.Model],
    comparison: dsl.Input[dsl.Artifact],
    pipeline_run_id: str,
    tracking_uri: str,
    experiment: str,
    registered: dsl.Output[dsl.Artifact],
    candidate_records_1: dsl.Input[dsl.Artifact],
    candidate_records_2: dsl.Input[dsl.Artifact] = None,
    candidate_records_3: dsl.Input[dsl.Artifact] = None,
    candidate_records_4: dsl.Input[dsl.Artifact] = None,
    candidate_records_5: dsl.Input[dsl.Artifact] = None,
    candidate_records_6: dsl.Input[dsl.Artifact] = None,
    candidate_records_7: dsl.Input[dsl.Artifact] = None,
    candidate_records_8: dsl.Input[dsl.Artifact] = None,
    candidate_records_9: dsl.Input[dsl.Artifact] = None,
    candidate_records_10: dsl.Input[dsl.Artifact] = None,
    reference_records_1: dsl.Input[dsl.Artifact] = None,
    reference_records_2: dsl.Input[dsl.Artifact] = None,
    reference_records_3: dsl.Input[dsl.Artifact] = None,
    reference_records_4: dsl.Input[dsl.Artifact] = None,
    reference_records_5: dsl.Input[dsl.Artifact] = None,
    reference_records_6: dsl.Input[dsl.Artifact] = None,
    reference_records_7: dsl.Input[dsl.Artifact] = None,
    reference_records_8: dsl.Input[dsl.Artifact] = None,
    reference_records_9: dsl.Input[dsl.Artifact] = None,
    reference_records_10: dsl.Input[dsl.Artifact] = None,
    tags: dict = {},  # type: ignore[type-arg]  # noqa: B006 - KFP takes the default as a constant
    hours: float = 12.0,
) -> str:
    """Register the candidate in MLflow, as challenger and perhaps as champion; the address of the model.

    First MLflow gets whatever it lacks of all legs and seeds and of the comparison. hours: how long to wait for an
    MLflow that is away. model: of the candidate's first records.
    """
    from pathlib import Path

    from components.common.metadata import artifact_metadata
    from components.publish.publish import publish
    from components.tracking.target import TrackingTarget
    from components.train.leg import leg_settings
    from dualgan.run_folder import write_json

    records = {name: value for name, value in locals().items() if "_records_" in name and value}
    first, *others = [Path(one.path) for one in records.values()]
    target = TrackingTarget(tracking_uri or None, experiment or None, pipeline_run_id)
    published = publish(
        first,
        Path(comparison.path),
        target,
        model=Path(model.path),
        leg=leg_settings(leg),
        tags=tags,
        others=others,
        hours=hours,
    )
    write_json(Path(registered.path), published.to_json())
    registered.metadata.update(artifact_metadata(published.to_json()))
    return published.uri
