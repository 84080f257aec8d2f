"""File and key names that are derived from names of any length."""

import hashlib
import re

# The longest file name of ext4, XFS and S3's clients.
MAX_FILE_NAME_BYTES = 255
# What a dataset may be called: its name becomes part of titles, of names and queries in MLflow, and of links.
MAX_DATASET_NAME_BYTES = 100
_NOT_IN_A_NAME = re.compile(r"^\W+|[^\w .,+@()=-]+")
_DIGEST_CHARACTERS = 8


def shortened(name: str, max_bytes: int, suffix: str = "") -> str:
    """Return ``name + suffix`` if it fits, else the head of ``name``, eight digits of its SHA-256, and ``suffix``.

    Names that differ stay different, and the same name gives the same result everywhere.

    Args:
        name: Any text.
        max_bytes: How many bytes of UTF-8 the result may have; at least those of "-", eight digits and ``suffix``.
        suffix: What the result must end with, such as ".png".
    """
    whole = name + suffix
    if len(whole.encode("utf-8", "surrogatepass")) <= max_bytes:
        return whole
    content = name.encode("utf-8", "surrogatepass")
    tail = "-" + hashlib.sha256(content).hexdigest()[:_DIGEST_CHARACTERS] + suffix
    head = content[: max_bytes - len(tail.encode("utf-8"))].decode("utf-8", "ignore")
    return head + tail


def plain_name(text: str) -> str:
    """Return ``text`` as a dataset may be called: letters, digits, spaces and ``.,+@()=-_``, at most 100 bytes.

    "it's" becomes "it-s"; "" if nothing is left.
    """
    return shortened(_NOT_IN_A_NAME.sub("-", text).strip("- "), MAX_DATASET_NAME_BYTES)
