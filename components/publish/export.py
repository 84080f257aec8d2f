"""The generators of a leg as frozen graphs, made by the runtime that trained it."""

import subprocess
from pathlib import Path

from components.train.leg import LegSettings
from components.train.runtimes import python_of, trainer_environment, trainer_failure


def export_graphs(leg: LegSettings, run: Path, output: Path) -> None:
    """Make the folder ``output`` with A2B.pb, B2A.pb and signature.json of the newest checkpoint of ``run``.

    Raises BadInput or DualGANError with the exporter's own line where that fails.
    """
    command = [str(python_of(leg.runtime)), "-m", "dualgan", "export", "--run_dir", str(run), "--output", str(output)]
    answer = subprocess.run(
        command, env=trainer_environment(leg.environment), capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise trainer_failure(leg.name, answer.returncode, answer.stderr)
