"""Record a trace on one leg and replay it on another, with each leg's own interpreter, device and environment."""

from pathlib import Path

from components.common.console import print_status
from components.train.leg import LegSettings
from components.train.trainer_process import require_success, run_dualgan, trainer_failure
from dualgan.errors import EXIT_BAD_INPUT
from dualgan.run_folder import read_json


def record_trace(leg: LegSettings, dataset: Path, run: Path, trace: Path, cache: Path | None = None) -> None:
    """Record the first training steps of the leg's run folder ``run`` in the file ``trace``.

    Raises BadInput or DualGANError with the trainer's own line if that fails.
    """
    arguments = ["trace", "--run_dir", str(run), "--data_dir", str(dataset), "--output", str(trace)]
    arguments += ["--cache_dir", str(cache)] if cache else []
    output = require_success(leg, run_dualgan(leg, arguments))
    print_status(f"trace {leg.name}: {output.splitlines()[-1].partition(' in ')[0]}")


def replay_trace(leg: LegSettings, trace: Path, run: Path, replay: Path) -> None:
    """Replay ``trace`` as the leg trained ``run``, and write ``replay``, a JSON file.

    A step that differs is a result, not a failure. Raises BadInput or DualGANError if there is no result.
    """
    answer = run_dualgan(leg, ["replay", str(trace), "--run_dir", str(run), "--output", str(replay)])
    if answer.exit_code == EXIT_BAD_INPUT or not replay.is_file():
        raise trainer_failure(leg.name, answer)
    found = read_json(replay)["departures"]
    first = f"the first is {found[0]['what']} {found[0]['name']} at step {found[0]['step']}" if found else ""
    print_status(f"replay {leg.name}: " + (f"{len(found)} bounds exceeded, {first}" if found else "all bounds hold"))
