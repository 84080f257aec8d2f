"""Sources of a dataset that a user may name, and the meaning of each form."""

import os
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from components.common.address import Address, without_secrets
from components.common.s3 import parse_address
from components.dataset.catalogue import CATALOGUE, is_taken, nearest_names
from components.dataset.synthetic.options import SyntheticOptions, parse_synthetic
from dualgan.errors import BadInput, printable, without_logins
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
# USER:PASSWORD for the server of a URL that has no login itself.
LOGIN_VARIABLE = "DUALGAN_DATASET_LOGIN"
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
    file = PurePosixPath(address.key).name
    name = plain_name(_stem(file) or address.bucket)
    name = name if _stem(file) == file else _own_name(name)
    return S3Location(name, str(address), address.bucket, address.key)


def require_no_secret(text: str) -> None:
    """Raise BadInput for the URL of a dataset with a login or a secret parameter, which a run would record."""
    address = Address(text)
    if address.scheme and address.has_secret:
        raise BadInput(
            f"--dataset {address}: a run would record the login or secret of its address; leave the login out and set "
            f"{LOGIN_VARIABLE}=USER:PASSWORD, or name what `parity dataset fetch` or `mirror` makes of it"
        )


def _url(text: str) -> Download:
    address = Address(text)
    try:
        url = urlsplit(address.without_login.reveal())
        known = url.scheme in ("http", "https") and bool(url.hostname)
    except ValueError as error:
        raise BadInput(f"{address}: not a URL ({error})") from None
    if not known:
        raise BadInput(f"{address}: a URL must begin with http://, https:// or s3:// and name a server")
    plain = address.without_login.reveal()
    if without_logins(plain).count("@") < plain.count("@"):
        raise BadInput(f"{address}: where does its login end? write %40 for an @ and %2F for a / in it")
    # The query of a signed address is another one every time.
    query = "" if any(f"{sign}=" in url.query for sign in SIGNATURES) else without_secrets(url.query)
    name = plain_name(_stem(unquote(PurePosixPath(url.path).name)) or str(url.hostname))
    source = urlunsplit(url._replace(query=query, fragment=""))
    user, colon, password = os.environ.get(LOGIN_VARIABLE, "").partition(":")
    if colon and not address.username:
        text = urlunsplit(url._replace(netloc=f"{quote(user, '')}:{quote(password, '')}@{url.netloc}"))
    return Download(_own_name(name), source, (text,), None, "")


def _local(text: str) -> LocalFolder | LocalArchive:
    path = Path(text).expanduser().resolve() if text else Path()
    # What is recorded can be read again, whatever bytes are in a path.
    source = printable(str(path))
    if text and path.is_dir():
        return LocalFolder(plain_name(path.name), source, path)
    if text and path.is_file():
        return LocalArchive(_own_name(plain_name(_stem(path.name))), source, path)
    nearest = " or ".join(nearest_names(text)) if text and "/" not in text else ""
    hint = f"did you mean {nearest}?" if nearest else "see `parity dataset list`"
    raise BadInput(f"{text or repr(text)}: neither a known dataset, nor a file or folder; {hint}")


def _own_name(name: str) -> str:
    """``name``, or another one if that is a dataset's that the archive need not be."""
    return f"{name}-copy" if is_taken(name) else name


def _stem(name: str) -> str:
    """``name`` without the ending of an archive."""
    for ending in sorted(ARCHIVE_ENDINGS, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
