"""Pictures of a run in MLflow: step images, which its grid shows side by side by step, and those that it ended with.

MLflow's own log_image names a file by time and chance, so a repeat would double it. The file convention that
it writes by (mlflow 3.17, ``MlflowClient.log_image``) takes names of our choice, which are always the same.
"""

import shutil
import tempfile
import uuid
from pathlib import Path

from mlflow.tracking import MlflowClient
from PIL import Image, ImageOps

from components.common.html import write_sheet
from components.tracking.names import readable_key
from dualgan.names import MAX_FILE_NAME_BYTES
from dualgan.pictures import MAX_SAMPLE_PIXELS, open_picture
from dualgan.run_folder import SAMPLE_KINDS, Sample, read_samples

IMAGES_IN_GRID = 4
# What the UI shows; MLflow's own thumbnails have this side.
THUMBNAIL_SIDE = 256
ARTIFACT_FOLDER = "images"
LOGGED_IMAGES_TAG = "mlflow.loggedImages"
SHEET = "samples.html"

_STEP, _TIMESTAMP, _THUMBNAIL = "+step+", "+timestamp+", "+compressed.webp"
# A key is the same at every step, so there is room for the digits of any.
_LONGEST_END = f"{_STEP}{10**9}{_TIMESTAMP}{10**12}+{uuid.NAMESPACE_OID}{_THUMBNAIL}"
MAX_IMAGE_BYTES = MAX_FILE_NAME_BYTES - len(_LONGEST_END) - max(map(len, SAMPLE_KINDS)) - 1


def image_key(sample: Sample) -> str:
    """Return ``A2B/0000``: the kind is the section, the image the row."""
    return f"{sample.kind}/{readable_key(sample.image, MAX_IMAGE_BYTES)}"


def grid_samples(folder: Path) -> list[Sample]:
    """Return the samples of the first IMAGES_IN_GRID validation images."""
    samples = read_samples(folder)
    images = sorted({sample.image for sample in samples})[:IMAGES_IN_GRID]
    return [sample for sample in samples if sample.image in images]


def stored_images(client: MlflowClient, run_id: str) -> dict[str, tuple[str, int]]:
    """Return what a run has of full-size step images: ``key+step+number`` -> (file name, bytes)."""
    found = {}
    for file in client.list_artifacts(run_id, ARTIFACT_FOLDER):
        name = Path(file.path).name
        if name.endswith(".png"):
            found[name.partition(_TIMESTAMP)[0]] = (name, int(file.file_size or 0))
    return found


def key_and_step(place: str) -> tuple[str, int]:
    """Return the key and the step of a name that ``stored_images`` gives."""
    key, _, step = place.partition(_STEP)
    return key.replace("~", "/", 1), int(step) if step.isdecimal() else 0


def send_step_images(
    client: MlflowClient,
    run_id: str,
    folder: Path,
    step: int,
    timestamp: int,
    *,
    stored: dict[str, tuple[str, int]],
) -> int:
    """Send the pictures that ``stored`` lacks or has with another size, and add them to it; return how many.

    Args:
        client: Of MLflow.
        run_id: The run that gets them.
        folder: The sample folder.
        step: Its step.
        timestamp: In milliseconds since 1970.
        stored: What the run has.

    Raises:
        BadPicture: A picture cannot be read.
    """
    sent = 0
    for sample in grid_samples(folder):
        place = f"{image_key(sample).replace('/', '~', 1)}{_STEP}{step}"
        size = sample.path.stat().st_size
        name, stored_size = stored.get(place, (_file_name(run_id, place, timestamp), -1))
        if stored_size != size:
            _upload(client, run_id, sample.path, name)
            stored[place] = (name, size)
            sent += 1
    return sent


def _file_name(run_id: str, place: str, timestamp: int) -> str:
    return f"{place}{_TIMESTAMP}{timestamp}+{uuid.uuid5(uuid.NAMESPACE_OID, f'{run_id}/{place}')}.png"


def _upload(client: MlflowClient, run_id: str, picture: Path, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        full = Path(folder) / name
        small = full.with_name(f"{full.stem}{_THUMBNAIL}")
        _thumbnail(open_picture(picture, MAX_SAMPLE_PIXELS)).save(small)
        shutil.copyfile(picture, full)
        # The full picture goes last: if it is whole, the thumbnail is there too.
        client.log_artifact(run_id, str(small), ARTIFACT_FOLDER)
        client.log_artifact(run_id, str(full), ARTIFACT_FOLDER)


def _thumbnail(image: Image.Image) -> Image.Image:
    # The grid draws a thumbnail in its own size: a small picture must show its pixels, not be a dot.
    grows = max(image.size) < THUMBNAIL_SIDE
    method = Image.Resampling.NEAREST if grows else Image.Resampling.LANCZOS
    return ImageOps.contain(image, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), method)


def send_final_artifacts(client: MlflowClient, run_id: str, samples: Path, title: str) -> int:
    """Send ``final_{kind}.png`` of the first validation image in ``samples``, and the sheet; return how many.

    They lie at the artifact root, for MLflow's page of common artifacts shows nothing that lies deeper. A file that
    the run has with the same size is not sent again.

    Raises:
        BadPicture: A picture cannot be read.
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
