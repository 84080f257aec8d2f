"""Datasets in folders of this machine."""

from collections.abc import Iterator
from pathlib import Path

from components.dataset.layout import DEEPEST_ROOT

CHUNK = 1 << 20
# The folders of a dataset itself: a split, a domain.
DEPTH = DEEPEST_ROOT + 2


def names_in(folder: Path) -> Iterator[str]:
    """The files of ``folder`` and its folders, these with a "/" at their end, as deep as a dataset may lie in it."""
    yield from _names(folder, "", DEPTH)


def _names(folder: Path, prefix: str, depth: int) -> Iterator[str]:
    for child in folder.iterdir():
        if child.is_dir():
            yield f"{prefix}{child.name}/"
            if depth and not child.name.startswith("."):
                yield from _names(child, f"{prefix}{child.name}/", depth - 1)
        elif child.is_file():
            yield f"{prefix}{child.name}"


def content(file: Path) -> Iterator[bytes]:
    with file.open("rb", buffering=0) as opened:
        while chunk := opened.read(CHUNK):
            yield chunk
