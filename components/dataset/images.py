"""A folder of images: where it is, whether its images can be read, and copying them."""

import logging
import shutil
import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from dualgan.dataset_folder import DOMAINS, SPLITS, list_images, require_training_images
from dualgan.errors import BadInput

NAMED_AT_MOST = 3

log = logging.getLogger(__name__)


def copy_dataset(folder: Path, destination: Path, shown: str) -> None:
    """Copy the images of the dataset in ``folder``, or one level down, to ``destination``, an empty one.

    ``shown`` is how messages name ``folder``. Raises BadInput where train/A or train/B is missing or empty,
    or an image cannot be read. A missing ``val`` stays missing.
    """
    root = _find_root(folder, shown)
    try:
        require_training_images(root)
    except BadInput as error:
        raise BadInput(f"{shown}: {str(error).removeprefix(f'{root}: ')}") from None
    images = [image for split in SPLITS for domain in DOMAINS for image in list_images(root, split, domain)]
    places = [image.relative_to(root) for image in images]
    _require_readable(root, places, shown)
    for place in places:
        target = destination / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / place, target)


def _find_root(folder: Path, shown: str) -> Path:
    if (folder / "train").is_dir():
        return folder
    below = sorted(child for child in folder.iterdir() if (child / "train").is_dir() and child.name[0] not in "._")
    if len(below) > 1:
        names = ", ".join(child.name for child in below)
        raise BadInput(f"{shown}: holds more than one dataset ({names}); give one of them")
    # Without any, the folder itself: what is missing is then named as seen from there.
    return below[0] if below else folder


def _require_readable(root: Path, places: list[Path], shown: str) -> None:
    log.info("checking %d images", len(places))
    unreadable = []
    for place in tqdm(places, desc="checking", unit="image", disable=None):
        reason = _why_unreadable(root / place)
        if reason:
            unreadable.append(f"{place} ({reason})")
    if unreadable:
        named = ", ".join(unreadable[:NAMED_AT_MOST])
        more = f" and {len(unreadable) - NAMED_AT_MOST} more" if len(unreadable) > NAMED_AT_MOST else ""
        raise BadInput(
            f"{shown}: {len(unreadable)} of {len(places)} images cannot be read: {named}{more}; repair or remove them"
        )


def _why_unreadable(path: Path) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("JPEG", "PNG")) as image:
                image.load()
    except UnidentifiedImageError:
        return "neither JPEG nor PNG" if path.stat().st_size else "empty file"
    # Pillow's decoders raise errors of many kinds for a damaged file.
    except Exception as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return ""
