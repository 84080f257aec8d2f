"""The pictures of a sample folder as step images: MLflow's image grid shows legs side by side, by step.

MLflow's own log_image names a file by time and chance, so a repeat would double it. The file convention that
it writes by (mlflow 3.17, ``MlflowClient.log_image``) takes names of our choice, which are always the same.
"""

import re
import shutil
import tempfile
import uuid
from pathlib import Path

from mlflow.tracking import MlflowClient
from PIL import Image, ImageOps

from dualgan.errors import BadInput
from dualgan.run_folder import Sample, read_samples

IMAGES_IN_GRID = 4
# What the UI shows; MLflow's own thumbnails have this side.
THUMBNAIL_SIDE = 256
ARTIFACT_FOLDER = "images"
LOGGED_IMAGES_TAG = "mlflow.loggedImages"


def image_key(sample: Sample) -> str:
    """``A2B/0000``: the kind is the section, the image the row. What no key may hold becomes _."""
    return f"{sample.kind}/{re.sub(r'[^0-9A-Za-z_. -]', '_', sample.image)}"


def grid_samples(folder: Path) -> list[Sample]:
    """The samples of the first IMAGES_IN_GRID validation images."""
    samples = read_samples(folder)
    images = sorted({sample.image for sample in samples})[:IMAGES_IN_GRID]
    return [sample for sample in samples if sample.image in images]


def stored_images(client: MlflowClient, run_id: str) -> dict[str, tuple[str, int]]:
    """What a run has of full-size step images: ``key+step+number`` -> (file name, bytes)."""
    found = {}
    for file in client.list_artifacts(run_id, ARTIFACT_FOLDER):
        name = Path(file.path).name
        if name.endswith(".png"):
            found[name.partition("+timestamp+")[0]] = (name, int(file.file_size or 0))
    return found


def send_step_images(
    client: MlflowClient,
    run_id: str,
    folder: Path,
    step: int,
    timestamp: int,
    *,
    stored: dict[str, tuple[str, int]],
) -> int:
    """Send the pictures that ``stored`` lacks or has with another size, and add them to it; returns how many.

    ``timestamp`` is in milliseconds since 1970. BadInput for a picture that cannot be read.
    """
    sent = 0
    for sample in grid_samples(folder):
        place = f"{image_key(sample).replace('/', '~')}+step+{step}"
        size = sample.path.stat().st_size
        name, stored_size = stored.get(place, (_file_name(run_id, place, timestamp), -1))
        if stored_size != size:
            _upload(client, run_id, sample.path, name)
            stored[place] = (name, size)
            sent += 1
    return sent


def _file_name(run_id: str, place: str, timestamp: int) -> str:
    return f"{place}+timestamp+{timestamp}+{uuid.uuid5(uuid.NAMESPACE_OID, f'{run_id}/{place}')}.png"


def _upload(client: MlflowClient, run_id: str, picture: Path, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        full = Path(folder) / name
        small = full.with_name(f"{full.stem}+compressed.webp")
        shutil.copyfile(picture, full)
        try:
            with Image.open(full) as image:
                _thumbnail(image).save(small)
        except OSError as error:
            raise BadInput(f"{picture}: not a picture ({error}); sample again") from None
        # The full picture goes last: where it is whole, the thumbnail is there too.
        client.log_artifact(run_id, str(small), ARTIFACT_FOLDER)
        client.log_artifact(run_id, str(full), ARTIFACT_FOLDER)


def _thumbnail(image: Image.Image) -> Image.Image:
    # The grid draws a thumbnail in its own size: a small picture must show its pixels, not be a dot.
    grows = max(image.size) < THUMBNAIL_SIDE
    method = Image.Resampling.NEAREST if grows else Image.Resampling.LANCZOS
    return ImageOps.contain(image.convert("RGB"), (THUMBNAIL_SIDE, THUMBNAIL_SIDE), method)
