"""Draw the validation images of a trained leg, and a sheet to look at them."""

from pathlib import Path

from components.common.console import print_status
from components.common.html import write_sheet
from components.train.leg import LegSettings
from components.train.trainer_process import require_success, run_dualgan
from dualgan.run_folder import RunFolder, read_json, read_samples


def draw(leg: LegSettings, dataset: Path, run: Path, samples: Path, sheet: Path, cache: Path | None = None) -> None:
    """Make ``samples`` with six pictures of every validation image, and the HTML page ``sheet`` of them.

    Raises BadInput or DualGANError with the trainer's own line if that fails.
    """
    arguments = ["sample", "--run_dir", str(run)]
    arguments += ["--data_dir", str(dataset), "--output", str(samples), "--device", leg.device]
    arguments += ["--cache_dir", str(cache)] if cache else []
    require_success(leg, run_dualgan(leg, arguments))
    seed = int(read_json(RunFolder(run).options)["options"].get("seed") or 0)
    write_sheet(samples, f"DualGAN samples of leg {leg.name}, seed {seed}", sheet)
    kinds = [sample.kind for sample in read_samples(samples)]
    drawn = f"drew {kinds.count('real_A')} images of A and {kinds.count('real_B')} of B"
    print_status(f"sample {leg.name} seed {seed}: {drawn}")
