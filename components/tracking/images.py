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
from components.tracking.runs import readable_key
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


def stored_images(client: MlflowClient, run_id: str) -> dict[str, tuple[str, int]]:
    """Return what a run has of full-size step images: ``key+step+number`` -> (file name, bytes)."""
    files = {Path(file.path).name: int(file.file_size or 0) for file in client.list_artifacts(run_id, ARTIFACT_FOLDER)}
    return {name.partition(_TIMESTAMP)[0]: (name, size) for name, size in files.items() if name.endswith(".png")}


def key_and_step(place: str) -> tuple[str, int]:
    """Return the key and the step of a name that ``stored_images`` gives."""
    key, _, step = place.partition(_STEP)
    return key.replace("~", "/", 1), int(step) if step.isdecimal() else 0


def send_step_images(
    client: MlflowClient, run_id: str, folder: Path, step: int, timestamp: int, stored: dict[str, tuple[str, int]]
) -> int:
    """Send the pictures of the first IMAGES_IN_GRID images in a sample folder; return how many.

    Only those that ``stored`` lacks or has with another size; what is sent is added to it. ``timestamp`` is in
    milliseconds since 1970. Raises BadPicture if a picture cannot be read.
    """
    samples, sent = read_samples(folder), 0
    images = sorted({sample.image for sample in samples})[:IMAGES_IN_GRID]
    for sample in samples:
        if sample.image not in images:
            continue
        place = f"{image_key(sample).replace('/', '~', 1)}{_STEP}{step}"
        size = sample.path.stat().st_size
        new_name = f"{place}{_TIMESTAMP}{timestamp}+{uuid.uuid5(uuid.NAMESPACE_OID, f'{run_id}/{place}')}.png"
        name, stored_size = stored.get(place, (new_name, -1))
        if stored_size != size:
            _upload(client, run_id, sample.path, name)
            stored[place] = (name, size)
            sent += 1
    return sent


def _upload(client: MlflowClient, run_id: str, picture: Path, name: str) -> None:
    image = open_picture(picture, MAX_SAMPLE_PIXELS)
    # The grid draws a thumbnail in its own size: a small picture must show its pixels, not be a dot.
    method = Image.Resampling.NEAREST if max(image.size) < THUMBNAIL_SIDE else Image.Resampling.LANCZOS
    with tempfile.TemporaryDirectory() as folder:
        full = Path(folder) / name
        small = full.with_name(f"{full.stem}{_THUMBNAIL}")
        ImageOps.contain(image, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), method).save(small)
        shutil.copyfile(picture, full)
        # The full picture goes last: if it is whole, the thumbnail is there too.
        client.log_artifact(run_id, str(small), ARTIFACT_FOLDER)
        client.log_artifact(run_id, str(full), ARTIFACT_FOLDER)


def send_final_artifacts(client: MlflowClient, run_id: str, samples: Path, title: str) -> int:
    """Send ``final_{kind}.png`` of the first validation image in ``samples``, and the sheet; return how many.

    They lie at the artifact root, for MLflow's page of common artifacts shows nothing that lies deeper. A file that
    the run has with the same size is not sent again. Raises BadPicture if a picture cannot be read.
    """
    pictures = read_samples(samples)
    if not pictures:
        return 0
    stored = {file.path: int(file.file_size or 0) for file in client.list_artifacts(run_id)}
    with tempfile.TemporaryDirectory() as folder:
        write_sheet(samples, title, Path(folder) / SHEET)
        for picture in pictures:
            if picture.image == pictures[0].image:
                shutil.copyfile(picture.path, Path(folder) / f"final_{picture.kind}.png")
        missing = [file for file in sorted(Path(folder).iterdir()) if stored.get(file.name) != file.stat().st_size]
        for file in missing:
            client.log_artifact(run_id, str(file))
    return len(missing)
