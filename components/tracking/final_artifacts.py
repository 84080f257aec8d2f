"""What a run ended with, as files of its MLflow run: the last pictures of one image, and the sheet of all."""

import tempfile
from pathlib import Path

from mlflow.tracking import MlflowClient

from components.sample.sheet import write_sheet
from dualgan.run_folder import read_samples

SHEET = "samples.html"


def send_final_artifacts(client: MlflowClient, run_id: str, samples: Path, title: str) -> int:
    """Send ``final_{kind}.png`` of the first validation image in ``samples``, and the sheet; returns how many.

    They lie at the artifact root, for MLflow's page of common artifacts shows nothing that lies deeper. A file that
    the run has with the same size is not sent again. BadInput for a picture that cannot be read.
    """
    pictures = read_samples(samples)
    if not pictures:
        return 0
    stored = {file.path: int(file.file_size or 0) for file in client.list_artifacts(run_id) if not file.is_dir}
    sent = 0
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder) / SHEET
        write_sheet(samples, title, sheet)
        files = [sheet]
        for picture in pictures:
            if picture.image == pictures[0].image:
                files.append(sheet.with_name(f"final_{picture.kind}.png"))
                files[-1].write_bytes(picture.path.read_bytes())
        for file in files:
            if stored.get(file.name) != file.stat().st_size:
                client.log_artifact(run_id, str(file))
                sent += 1
    return sent
