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

    from components.common.console import print_status
    from components.common.metadata import artifact_metadata
    from components.compare import judge
    from components.compare.bounds import MAX_SEEDS, bounds_from
    from components.compare.leg import Leg, Source
    from components.compare.records import read_options
    from components.compare.references import load_reference
    from components.compare.verdict import join, verdict_line
    from components.tracking.comparison_view import log_comparison
    from components.tracking.reasons import artifact_address, explain
    from components.tracking.runs import PipelineRun
    from components.tracking.store import connect, resolve_tracking_uri
    from dualgan.errors import DualGANError
    from dualgan.run_folder import RunFolder

    inputs, folder = dict(locals()), Path(comparison.path)

    def sources(side: str) -> tuple[Source, ...]:
        numbers = range(1, MAX_SEEDS + 1)
        given = [(inputs[f"{side}_records_{number}"], inputs[f"{side}_samples_{number}"]) for number in numbers]
        return tuple(Source(Path(run.path), Path(samples.path) if samples else None) for run, samples in given if run)

    found = load_reference(recorded) if recorded else None
    legs = [] if found else [Leg(reference, sources("reference"))]
    legs.append(Leg(candidate, sources("candidate"), Path(replay.path) if replay else None))
    result = judge.compare(legs, reference, folder, bounds_from(bounds), found)
    for line in result.lines():
        print_status(f"compare: {line}")
    print_status(verdict_line(join(result.candidates), result.verdict, str(artifact_address(folder) or folder)))
    uri = resolve_tracking_uri(tracking_uri or None)
    dataset = read_options(RunFolder(legs[0].sources[0].run).options).dataset.name
    try:
        log_comparison(connect(uri), PipelineRun(experiment or dataset, pipeline_run_id), folder)
    except Exception as error:
        reason = str(error) if isinstance(error, DualGANError) else explain(error, uri)
        print_status(f"compare: MLflow lacks the comparison: {reason}; the last task sends it")
    metrics.metadata.update(artifact_metadata(result.numbers()))
    comparison.metadata.update(artifact_metadata({"verdict": result.verdict, "reason": result.reason}))
    shutil.copyfile(folder / "report.html", report.path)
    shutil.copyfile(folder / "report.md", tables.path)
    return str(result.verdict)
