"""Published datasets by name: those of DualGAN's authors, and the paired ones of pix2pix that they took some from."""

import difflib
import unicodedata
from typing import NamedTuple

ORIGINAL_SERVER = "http://www.cs.mun.ca/~yz7241/dualgan/dataset/{name}.zip"
SERVER_NOTE = (
    "the original server is reported dead (github.com/duxingren14/DualGAN/issues/19): "
    "give the URL of a mirror or the path of a local copy instead of the name"
)
# Where pix2pix's own download script looks, and where it looked before.
PIX2PIX_MIRRORS = (
    "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/{name}.tar.gz",
    "https://people.eecs.berkeley.edu/~tinghuiz/projects/pix2pix/datasets/{name}.tar.gz",
)

# What is drawn here is called so.
SYNTHETIC = "synthetic"


class CatalogueEntry(NamedTuple):
    """A published dataset, at any of ``urls``, tried in order; ``advice`` is for when none has it.

    ``lambdas`` are the authors' (lambda_A, lambda_B), None if they named none. No checksum was ever published; if
    ``sha256`` is set, a download must match it.
    """

    name: str
    urls: tuple[str, ...]
    lambdas: tuple[float, float] | None = None
    sha256: str | None = None
    note: str = ""
    advice: str = ""


def _entry(name: str, lambdas: tuple[float, float] | None = None, note: str = "") -> CatalogueEntry:
    return CatalogueEntry(name, (ORIGINAL_SERVER.format(name=name),), lambdas, None, note, SERVER_NOTE)


def _pix2pix(name: str) -> CatalogueEntry:
    urls = tuple(mirror.format(name=name) for mirror in PIX2PIX_MIRRORS)
    return CatalogueEntry(f"pix2pix-{name}", urls, note="pairs, published by pix2pix")


CATALOGUE: dict[str, CatalogueEntry] = {
    entry.name: entry
    for entry in (
        _entry("day-night", note="published with 1000 epochs of plain wgan"),
        _entry("facades", (1000.0, 1000.0)),
        _entry("leather-fabric"),
        _entry("metal-stone"),
        _entry("oil-chinese", (500.0, 500.0)),
        _entry("plastic-metal"),
        _entry("plastic-wood"),
        _entry("sketch-photo", (1000.0, 1000.0), "995 training images a domain"),
        _pix2pix("facades"),
        _pix2pix("maps"),
    )
}


def is_taken(name: str) -> bool:
    """Return whether ``name``, as people read it, is a dataset's of the catalogue, or that of the drawn ones."""
    return unicodedata.normalize("NFKC", name).casefold().strip() in (*CATALOGUE, SYNTHETIC)


def nearest_names(name: str) -> list[str]:
    """Return the known names most like ``name``; [] if none is."""
    return difflib.get_close_matches(name.lower(), [*CATALOGUE, SYNTHETIC], n=3, cutoff=0.5)
