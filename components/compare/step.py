"""The comparison as a step of a pipeline: written down, and logged to the pipeline's run in MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from components.common.console import print_status
from components.compare.bounds import bounds_from
from components.compare.judge import compare
from components.compare.leg import Leg
from components.compare.records import read_options
from components.compare.references import load_reference
from components.compare.result import Comparison
from components.compare.verdict import join
from components.compare.verdict_line import verdict_line
from components.tracking.comparison_view import log_comparison
from components.tracking.placement import Placement
from components.tracking.reasons import artifact_address, explain
from components.tracking.runs import PipelineRun
from components.tracking.store import connect, resolve_tracking_uri
from dualgan.errors import DualGANError
from dualgan.run_folder import RunFolder


def compare_and_log(
    legs: Sequence[Leg],
    reference: str,
    output: Path,
    placement: Placement,
    *,
    bounds: Mapping[str, float] | None = None,
    recorded: str = "",
) -> Comparison:
    """Compare legs into the folder ``output`` and log that to MLflow, which never makes it fail.

    Args:
        legs: What to compare.
        reference: The leg to hold the others against, unless ``recorded`` names a recorded reference.
        output: The folder to write into.
        placement: The pipeline's run; the experiment is the dataset's name if it is left open.
        bounds: In place of defaults, by name.
        recorded: As load_reference takes it.
    """
    found = load_reference(recorded) if recorded else None
    comparison = compare(legs, reference, output, bounds_from(bounds or {}), found)
    for line in comparison.lines():
        print_status(f"compare: {line}")
    candidates = join([leg.name for leg in legs if found or leg.name != reference])
    print_status(verdict_line(candidates, comparison.verdict, str(artifact_address(output) or output)))
    dataset = read_options(RunFolder(legs[0].sources[0].run).options).dataset.name
    place = replace(placement, experiment=placement.experiment or dataset)
    _log(output, place)
    return comparison


def _log(output: Path, place: Placement) -> None:
    uri = resolve_tracking_uri(place.tracking_uri)
    try:
        pipeline = PipelineRun(str(place.experiment), str(place.pipeline_run_id))
        log_comparison(connect(uri), pipeline, output)
    except Exception as error:
        reason = str(error) if isinstance(error, DualGANError) else explain(error, uri)
        print_status(f"compare: MLflow lacks the comparison: {reason}; the last task sends it")
