"""Whether a dataset folder is still what its dataset.json describes."""

import logging
from pathlib import Path

from components.common.errors import os_failure
from components.dataset.options import Limits
from dualgan.dataset_folder import DOMAINS, SPLITS, Description, content_digest, describe, image_counts, list_images
from dualgan.errors import BadInput, DualGANError

log = logging.getLogger(__name__)


def check(folder: Path) -> Description:
    """Return what dataset.json says of ``folder``.

    Raises BadInput if it is no dataset folder, DualGANError if its images are not those described.
    """
    if not (folder / "dataset.json").is_file():
        raise BadInput(f"{folder}: not a dataset folder, it has no dataset.json; make one with `fetch`")
    try:
        description = describe(folder)
        counts, digest = image_counts(folder), content_digest(folder)
    except OSError as error:
        raise os_failure(error, folder) from None
    said = "dataset.json says"
    if counts != description.counts:
        raise DualGANError(f"{folder}: holds {_listed(counts)}, {said} {_listed(description.counts)}; fetch it anew")
    if digest != description.digest:
        raise DualGANError(
            f"{folder}: its images have changed (digest {digest}, {said} {description.digest}); fetch it anew"
        )
    return description


def verify(folder: Path, limits: Limits) -> Description:
    """``check``, and open every image; those that cannot be used are logged, each by name with the reason.

    Raises BadInput if it is no dataset folder, DualGANError if its images are not those described or cannot be used.
    """
    # Pillow takes longer to import than all else here.
    from components.dataset.images import check_images
    from components.dataset.placement import listed

    images = [str(image) for split in SPLITS for domain in DOMAINS for image in list_images(folder, split, domain)]
    log.info("checking %d images", len(images))
    bad = [(image, checked.problem) for image, checked in check_images(images, limits).items() if checked.problem]
    named = listed([(str(Path(image).relative_to(folder)), reason) for image, reason in bad])
    description = check(folder)
    if bad:
        raise DualGANError(f"{folder}: {len(bad)} of {len(images)} images cannot be used: {named}")
    return description


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{place} {count}" for place, count in sorted(counts.items())) or "nothing"
