"""File and key names that are derived from names of any length."""

import hashlib
import re
import unicodedata

# The longest file name of ext4, XFS and S3's clients.
MAX_FILE_NAME_BYTES = 255
# What a dataset may be called: its name becomes part of titles, of names and queries in MLflow, and of links.
MAX_DATASET_NAME_BYTES = 100
_ALLOWED_SIGNS = frozenset(" .,+@()=-_")
# Letters, marks that belong to letters, and numbers.
_ALLOWED_CATEGORIES = "LMN"


def shortened(name: str, max_bytes: int, suffix: str = "") -> str:
    """Return ``name + suffix`` if it fits, else the head of ``name``, eight digits of its SHA-256, and ``suffix``.

    Names that differ stay different, and the same name gives the same result everywhere. max_bytes: of UTF-8, room for
    at least "-", the digits and ``suffix``.
    """
    whole = name + suffix
    fits = len(whole.encode("utf-8", "surrogatepass")) <= max_bytes
    return whole if fits else _with_digest(name, name, max_bytes, suffix)


def _with_digest(head: str, text: str, max_bytes: int, suffix: str = "") -> str:
    """Return ``head``, cut so that all fits, then eight digits of the SHA-256 of ``text``, and ``suffix``."""
    tail = f"-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}{suffix}"
    kept = head.encode("utf-8", "surrogatepass")[: max_bytes - len(tail.encode("utf-8"))]
    return kept.decode("utf-8", "ignore") + tail


def plain_name(text: str) -> str:
    """Return ``text`` as a dataset may be called: letters, numbers, spaces and ``.,+@()=-_``, at most 100 bytes.

    It is in normal form C. Texts that differ have names that differ: if a character had to go, eight digits of the
    text's SHA-256 stand at the end, as in "it-s-24ceef1c" for "it's". The name of a name is itself, of "" "dataset".
    """
    text = unicodedata.normalize("NFC", text) or "dataset"
    allowed = [sign in _ALLOWED_SIGNS or unicodedata.category(sign)[0] in _ALLOWED_CATEGORIES for sign in text]
    marked = "".join(sign if is_allowed else "\n" for sign, is_allowed in zip(text, allowed))
    plain = re.sub(r"^\W+|\n+", "-", marked).strip("- ")
    if plain == text:
        return shortened(text, MAX_DATASET_NAME_BYTES)
    return _with_digest(plain or "dataset", text, MAX_DATASET_NAME_BYTES)
