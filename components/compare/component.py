"""The KFP component that compares two legs."""

from kfp import dsl


def compare(
    reference: str,
    candidate: str,
    reference_run: dsl.Input[dsl.Model],
    reference_samples: dsl.Input[dsl.Artifact],
    candidate_run: dsl.Input[dsl.Model],
    candidate_samples: dsl.Input[dsl.Artifact],
    pipeline_run_id: str,
    tracking_uri: str,
    experiment: str,
    comparison: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.HTML],
    tables: dsl.Output[dsl.Markdown],
) -> str:
    """Say whether the candidate is as good as the reference: "pass", "fail" or "inconclusive"."""
    from pathlib import Path

    from components.compare.leg import Leg
    from components.compare.step import compare_and_log
    from components.tracking.placement import Placement

    result = compare_and_log(
        Leg(reference, Path(reference_run.path), Path(reference_samples.path)),
        Leg(candidate, Path(candidate_run.path), Path(candidate_samples.path)),
        Path(comparison.path),
        Placement(tracking_uri=tracking_uri or None, experiment=experiment or None, pipeline_run_id=pipeline_run_id),
    )
    for name, value in result.numbers().items():
        metrics.log_metric(name, value)
    Path(report.path).write_text((Path(comparison.path) / "report.html").read_text())
    Path(tables.path).write_text((Path(comparison.path) / "report.md").read_text())
    return str(result.verdict)
