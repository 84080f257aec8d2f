"""The KFP component that compares a leg with a reference, over all seeds."""

from kfp import dsl


# KFP makes lists of artifacts by loops alone, which would hide legs and seeds in the graph: so one input each.
def compare(
    candidate: str,
    reference: str,
    recorded: str,
    bounds: dict,  # type: ignore[type-arg]
    pipeline_run_id: str,
    tracking_uri: str,
    experiment: str,
    comparison: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
    tables: dsl.Output[dsl.Markdown],
    candidate_records_1: dsl.Input[dsl.Artifact],
    candidate_samples_1: dsl.Input[dsl.Artifact],
    candidate_records_2: dsl.Input[dsl.Artifact] = None,
    candidate_samples_2: dsl.Input[dsl.Artifact] = None,
    candidate_records_3: dsl.Input[dsl.Artifact] = None,
    candidate_samples_3: dsl.Input[dsl.Artifact] = None,
    candidate_records_4: dsl.Input[dsl.Artifact] = None,
    candidate_samples_4: dsl.Input[dsl.Artifact] = None,
    candidate_records_5: dsl.Input[dsl.Artifact] = None,
    candidate_samples_5: dsl.Input[dsl.Artifact] = None,
    candidate_records_6: dsl.Input[dsl.Artifact] = None,
    candidate_samples_6: dsl.Input[dsl.Artifact] = None,
    candidate_records_7: dsl.Input[dsl.Artifact] = None,
    candidate_samples_7: dsl.Input[dsl.Artifact] = None,
    candidate_records_8: dsl.Input[dsl.Artifact] = None,
    candidate_samples_8: dsl.Input[dsl.Artifact] = None,
    candidate_records_9: dsl.Input[dsl.Artifact] = None,
    candidate_samples_9: dsl.Input[dsl.Artifact] = None,
    candidate_records_10: dsl.Input[dsl.Artifact] = None,
    candidate_samples_10: dsl.Input[dsl.Artifact] = None,
    reference_records_1: dsl.Input[dsl.Artifact] = None,
    reference_samples_1: dsl.Input[dsl.Artifact] = None,
    reference_records_2: dsl.Input[dsl.Artifact] = None,
    reference_samples_2: dsl.Input[dsl.Artifact] = None,
    reference_records_3: dsl.Input[dsl.Artifact] = None,
    reference_samples_3: dsl.Input[dsl.Artifact] = None,
    reference_records_4: dsl.Input[dsl.Artifact] = None,
    reference_samples_4: dsl.Input[dsl.Artifact] = None,
    reference_records_5: dsl.Input[dsl.Artifact] = None,
    reference_samples_5: dsl.Input[dsl.Artifact] = None,
    reference_records_6: dsl.Input[dsl.Artifact] = None,
    reference_samples_6: dsl.Input[dsl.Artifact] = None,
    reference_records_7: dsl.Input[dsl.Artifact] = None,
    reference_samples_7: dsl.Input[dsl.Artifact] = None,
    reference_records_8: dsl.Input[dsl.Artifact] = None,
    reference_samples_8: dsl.Input[dsl.Artifact] = None,
    reference_records_9: dsl.Input[dsl.Artifact] = None,
    reference_samples_9: dsl.Input[dsl.Artifact] = None,
    reference_records_10: dsl.Input[dsl.Artifact] = None,
    reference_samples_10: dsl.Input[dsl.Artifact] = None,
    replay: dsl.Input[dsl.Artifact] = None,
) -> str:
    """Say whether the candidate is as good as the reference: "pass", "fail" or "inconclusive".

    The records of a training and its samples, one of each a seed, in any order. recorded: published, a file or
    mlflow:RUN, in place of a reference's records. replay: what replaying the reference's trace on the candidate's
    device gave.
    """
    import shutil
    from pathlib import Path

    from components.common.metadata import artifact_metadata
    from components.compare.leg import leg_of
    from components.compare.step import compare_and_log
    from components.tracking.placement import Placement

    artifacts = dict(locals())
    legs = [] if recorded else [leg_of(reference, "reference", artifacts)]
    legs.append(leg_of(candidate, "candidate", artifacts, replay))
    result = compare_and_log(
        legs,
        reference,
        Path(comparison.path),
        Placement(tracking_uri=tracking_uri or None, experiment=experiment or None, pipeline_run_id=pipeline_run_id),
        bounds=bounds,
        recorded=recorded,
    )
    metrics.metadata.update(artifact_metadata(result.numbers()))
    comparison.metadata.update(artifact_metadata({"verdict": result.verdict, "reason": result.reason}))
    shutil.copyfile(Path(comparison.path) / "report.html", report.path)
    shutil.copyfile(Path(comparison.path) / "report.md", tables.path)
    return str(result.verdict)
