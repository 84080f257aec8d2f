"""Sources of a dataset that a user may name, published ones among them, and the meaning of each form."""

import difflib
import os
import unicodedata
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from components.common.address import Address, without_secrets
from components.common.s3 import parse_address
from dualgan.errors import BadInput, printable, without_logins
from dualgan.names import plain_name

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
SYNTHETIC, SYNTHETIC_FORM = "synthetic", "the form is synthetic://?seed=0&n=120&size=64"
SYNTHETIC_LIMITS = {"seed": (0, 2**32 - 1), "n": (1, 10000), "size": (32, 512)}
# USER:PASSWORD for the server of a URL that has no login itself.
LOGIN_VARIABLE = "DUALGAN_DATASET_LOGIN"
# How the queries of signed addresses begin: S3 and OBS, older S3, Azure, Google.
SIGNATURES = ("X-Amz-Signature", "Signature", "sig", "X-Goog-Signature")
ARCHIVE_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class Download(NamedTuple):
    """An archive at the first of ``urls`` that answers; ``advice`` is for when none does.

    ``lambdas`` are (lambda_A, lambda_B) of a published dataset's authors. No checksum of one was ever published.
    """

    name: str
    source: str
    urls: tuple[str, ...]
    sha256: str | None = None
    advice: str = ""
    lambdas: tuple[float, float] | None = None
    note: str = ""


def _original(name: str, lambdas: tuple[float, float] | None = None, note: str = "") -> Download:
    return Download(name, name, (ORIGINAL_SERVER.format(name=name),), None, SERVER_NOTE, lambdas, note)


def _pix2pix(name: str) -> Download:
    urls = tuple(mirror.format(name=name) for mirror in PIX2PIX_MIRRORS)
    return Download(f"pix2pix-{name}", f"pix2pix-{name}", urls, note="pairs, published by pix2pix")


# Those of DualGAN's authors, and the paired ones of pix2pix that they took some from.
CATALOGUE = {
    published.name: published
    for published in (
        _original("day-night", note="published with 1000 epochs of plain wgan"),
        _original("facades", (1000.0, 1000.0)),
        _original("leather-fabric"),
        _original("metal-stone"),
        _original("oil-chinese", (500.0, 500.0)),
        _original("plastic-metal"),
        _original("plastic-wood"),
        _original("sketch-photo", (1000.0, 1000.0), "995 training images a domain"),
        _pix2pix("facades"),
        _pix2pix("maps"),
    )
}


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
    """Images that are drawn: ``n`` of training a domain, ``size`` pixels a side."""

    seed: int = 0
    n: int = 120
    size: int = 64

    @property
    def name(self) -> str:
        return SYNTHETIC

    @property
    def validation(self) -> int:
        """The number of validation images a domain."""
        return max(8, self.n // 10)

    @property
    def source(self) -> str:
        return f"synthetic://?seed={self.seed}&n={self.n}&size={self.size}"


Source = Download | S3Location | LocalFolder | LocalArchive | Synthetic


def parse_source(text: str) -> Source:
    """Return the source that ``text`` names. Raises BadInput if it is none of FORMS.

    ``source`` is what dataset.json records: the same for two spellings of one source, and without a password.
    """
    if "\0" in text:
        raise BadInput(f"{text}: no path or address has a NUL in it")
    if text == SYNTHETIC or text.startswith(f"{SYNTHETIC}:"):
        return _synthetic(text)
    if text.startswith("s3://"):
        address = parse_address(text)
        file = PurePosixPath(address.key).name
        name = plain_name(_stem(file) or address.bucket)
        return S3Location(name if _stem(file) == file else _own_name(name), str(address), *address)
    if "://" in text:
        return _url(text)
    if text in CATALOGUE:
        return CATALOGUE[text]
    return _local(text)


def is_taken(name: str) -> bool:
    """Return whether ``name``, as people read it, is a dataset's of the catalogue, or that of the drawn ones."""
    return unicodedata.normalize("NFKC", name).casefold().strip() in (*CATALOGUE, SYNTHETIC)


def require_no_secret(text: str) -> None:
    """Raise BadInput for the URL of a dataset with a login or a secret parameter, which a run would record."""
    address = Address(text)
    if address.scheme and address.has_secret:
        raise BadInput(
            f"--dataset {address}: a run would record the login or secret of its address; leave the login out and set "
            f"{LOGIN_VARIABLE}=USER:PASSWORD, or name what `parity dataset fetch` or `mirror` makes of it"
        )


def _synthetic(text: str) -> Synthetic:
    url = urlsplit(text)
    if url.netloc or url.path not in ("", "/", SYNTHETIC) or url.fragment or "?" in url.path:
        raise BadInput(f"{text}: not a synthetic dataset; {SYNTHETIC_FORM}")
    try:
        pairs = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError:
        raise BadInput(f"{text}: '{url.query}' is not a list of options; {SYNTHETIC_FORM}") from None
    options: dict[str, int] = {}
    for key, value in pairs:
        if key not in SYNTHETIC_LIMITS:
            raise BadInput(f"{text}: unknown option '{key}'; there are {', '.join(SYNTHETIC_LIMITS)}")
        if key in options:
            raise BadInput(f"{text}: option '{key}' is given twice")
        low, high = SYNTHETIC_LIMITS[key]
        if not (value.isascii() and value.isdigit() and len(value) <= 10 and low <= int(value) <= high):
            raise BadInput(f"{text}: {key} must be a whole number from {low} to {high}, not '{value}'")
        options[key] = int(value)
    return Synthetic(**options)


def _url(text: str) -> Download:
    address = Address(text)
    plain = address.without_login.reveal()
    try:
        url = urlsplit(plain)
        known = url.scheme in ("http", "https") and bool(url.hostname)
    except ValueError as error:
        raise BadInput(f"{address}: not a URL ({error})") from None
    if not known:
        raise BadInput(f"{address}: a URL must begin with http://, https:// or s3:// and name a server")
    if without_logins(plain).count("@") < plain.count("@"):
        raise BadInput(f"{address}: where does its login end? write %40 for an @ and %2F for a / in it")
    # The query of a signed address is another one every time.
    query = "" if any(f"{sign}=" in url.query for sign in SIGNATURES) else without_secrets(url.query)
    name = plain_name(_stem(unquote(PurePosixPath(url.path).name)) or str(url.hostname))
    source = urlunsplit(url._replace(query=query, fragment=""))
    user, colon, password = os.environ.get(LOGIN_VARIABLE, "").partition(":")
    if colon and not address.username:
        text = urlunsplit(url._replace(netloc=f"{quote(user, '')}:{quote(password, '')}@{url.netloc}"))
    return Download(_own_name(name), source, (text,))


def _local(text: str) -> LocalFolder | LocalArchive:
    path = Path(text).expanduser().resolve()
    # What is recorded can be read again, whatever bytes are in a path.
    source = printable(str(path))
    if text and path.is_dir():
        return LocalFolder(plain_name(path.name), source, path)
    if text and path.is_file():
        return LocalArchive(_own_name(plain_name(_stem(path.name))), source, path)
    names = [] if "/" in text else difflib.get_close_matches(text.lower(), [*CATALOGUE, SYNTHETIC], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(names)}?" if names else "see `parity dataset list`"
    raise BadInput(f"{text or repr(text)}: neither a known dataset, nor a file or folder; {hint}")


def _own_name(name: str) -> str:
    """``name``, or another one if that is a dataset's that the archive need not be."""
    return f"{name}-copy" if is_taken(name) else name


def _stem(name: str) -> str:
    """``name`` without the ending of an archive."""
    for ending in ARCHIVE_ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
