"""Sources of a dataset that a user may name, and the meaning of each form."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from components.common.address import Address
from components.common.s3 import parse_address
from components.dataset.catalogue import CATALOGUE, nearest_names
from components.dataset.synthetic.options import SyntheticOptions, parse_synthetic
from dualgan.errors import BadInput, printable
from dualgan.names import plain_name

FORMS = (
    ("NAME", "a dataset of the catalogue below"),
    ("http://... https://...", "an archive to download (zip, tar, tar.gz)"),
    ("s3://BUCKET/KEY", "an archive or a folder in S3; where S3 is say the AWS_* variables"),
    ("PATH", "a local archive or folder"),
    ("synthetic", "drawn here: pencil sketches of faces (A), painted portraits (B)"),
    ("synthetic://?seed=0&n=120&size=64", "the same with a seed, training images a domain, pixels a side"),
)
LAYOUTS = (
    "An archive or folder holds {train,val}/{A,B}/IMAGE, or {trainA,trainB,valA,valB}/IMAGE as CycleGAN publishes\n"
    "them, or {train,val}/IMAGE with A (left) and B (right) side by side in each image as pix2pix does. Each may lie\n"
    "one or two folders down; without val, images of valid, validation or test serve. An IMAGE ends in .jpg, .jpeg,\n"
    ".jfif, .png, .bmp, .webp, .tif or .tiff. The names of datasets have letters, numbers, spaces and .,+@()=-_."
)
# How the queries of signed addresses begin: S3 and OBS, older S3, Azure, Google.
SIGNATURES = ("X-Amz-Signature", "Signature", "sig", "X-Goog-Signature")
ARCHIVE_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class Download(NamedTuple):
    """An archive at the first of ``urls`` that answers; ``advice`` is for when none does."""

    name: str
    source: str
    urls: tuple[str, ...]
    sha256: str | None
    advice: str


class S3Location(NamedTuple):
    """An archive of this ``key``, or the folder of the keys that begin with it and a "/"."""

    name: str
    source: str
    bucket: str
    key: str


class LocalFolder(NamedTuple):
    """A folder of this machine."""

    name: str
    source: str
    path: Path


class LocalArchive(NamedTuple):
    """An archive of this machine."""

    name: str
    source: str
    path: Path


class Synthetic(NamedTuple):
    """Images that are drawn."""

    name: str
    source: str
    options: SyntheticOptions


Source = Download | S3Location | LocalFolder | LocalArchive | Synthetic


def parse_source(text: str) -> Source:
    """Return the source that ``text`` names, with ``name`` and ``source`` as dataset.json records them.

    The recorded source is the same for two spellings of one source (a relative path, a default spelled out)
    and holds no password. Raises BadInput if ``text`` is none of FORMS.
    """
    if "\0" in text:
        raise BadInput(f"{text}: no path or address has a NUL in it")
    if text == "synthetic" or text.startswith("synthetic:"):
        options = parse_synthetic(text)
        return Synthetic("synthetic", str(options), options)
    if text.startswith("s3://"):
        return parse_s3(text)
    if "://" in text:
        return _url(text)
    if text in CATALOGUE:
        entry = CATALOGUE[text]
        return Download(entry.name, entry.name, entry.urls, entry.sha256, entry.advice)
    return _local(text)


def parse_s3(text: str) -> S3Location:
    """Return what ``s3://bucket/key`` names. Raises BadInput for any other text."""
    address = parse_address(text)
    name = plain_name(_stem(PurePosixPath(address.key).name) or address.bucket)
    return S3Location(name, str(address), address.bucket, address.key)


def _url(text: str) -> Download:
    address = Address(text)
    try:
        url = urlsplit(address.without_login.reveal())
        known = url.scheme in ("http", "https") and bool(url.hostname)
    except ValueError as error:
        raise BadInput(f"{address}: not a URL ({error})") from None
    if not known:
        raise BadInput(f"{address}: a URL must begin with http://, https:// or s3:// and name a server")
    # The query of a signed address is another one every time.
    query = "" if any(f"{sign}=" in url.query for sign in SIGNATURES) else url.query
    name = plain_name(_stem(unquote(PurePosixPath(url.path).name)) or str(url.hostname))
    return Download(name, urlunsplit(url._replace(query=query, fragment="")), (text,), None, "")


def _local(text: str) -> LocalFolder | LocalArchive:
    path = Path(text).expanduser().resolve() if text else Path()
    # What is recorded can be read again, whatever bytes are in a path.
    source = printable(str(path))
    if text and path.is_dir():
        return LocalFolder(plain_name(path.name), source, path)
    if text and path.is_file():
        return LocalArchive(plain_name(_stem(path.name)), source, path)
    nearest = " or ".join(nearest_names(text)) if text and "/" not in text else ""
    hint = f"did you mean {nearest}?" if nearest else "see `parity dataset list`"
    raise BadInput(f"{text or repr(text)}: neither a known dataset, nor a file or folder; {hint}")


def _stem(name: str) -> str:
    """``name`` without the ending of an archive."""
    for ending in sorted(ARCHIVE_ENDINGS, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
