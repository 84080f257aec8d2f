"""The generators of a leg as frozen graphs, made by the runtime that trained it."""

from pathlib import Path

from components.train.leg import LegSettings
from components.train.trainer_process import require_success, run_dualgan


def export_graphs(leg: LegSettings, run: Path, output: Path) -> None:
    """Make the folder ``output`` with A2B.pb, B2A.pb and signature.json of the newest checkpoint of ``run``.

    Raises BadInput or DualGANError with the exporter's own line where that fails.
    """
    require_success(leg, run_dualgan(leg, ["export", "--run_dir", str(run), "--output", str(output)]))
