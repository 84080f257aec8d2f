"""The comparison as a step of a pipeline: written down, and logged to the pipeline's run in MLflow."""

from dataclasses import replace
from pathlib import Path

from components.compare.compare import compare
from components.compare.comparison import Comparison
from components.compare.leg import Leg
from components.compare.records import read_options
from components.look.progress import say
from components.tracking.pipeline_results import log_comparison
from components.tracking.placement import Placement
from components.tracking.reasons import explain
from components.tracking.runs import PipelineRun
from components.tracking.store import connect, resolve_tracking_uri
from dualgan.errors import DualGANError
from dualgan.run_folder import RunFolder


def compare_and_log(reference: Leg, candidate: Leg, output: Path, placement: Placement) -> Comparison:
    """Compare two legs into the folder ``output`` and log that to MLflow, which never makes it fail.

    placement: the pipeline's run; the experiment is the dataset's name where it is left open.
    """
    comparison = compare([reference, candidate], reference.name, output)
    for name, axis in comparison.axes.items():
        say(f"compare: {name:<12} {axis.verdict:<13} {axis.reason}")
    dataset = read_options(RunFolder(reference.run).options).dataset.name
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
        say(f"compare: MLflow lacks the comparison: {reason}")
