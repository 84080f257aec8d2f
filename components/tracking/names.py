"""Names that people give, of pictures, datasets and legs, as MLflow takes them: in keys and in searches."""

import hashlib
import unicodedata

from dualgan.names import shortened

PLAIN = "_.- "
# MLflow's filters know no escaped quotes.
_UNQUOTABLE = "'\"`\\\n\r"


def readable_key(name: str, max_bytes: int, plain: str = PLAIN) -> str:
    """Return a key that no other name has, and that is the name itself if that can be.

    Letters and digits of every script stay. Any other character becomes "_", and then a digest of the name follows,
    as it does if the name is too long.

    Args:
        name: Any text.
        max_bytes: How long the key may be in UTF-8.
        plain: What stays besides letters and digits.
    """
    key = "".join(character if _stays(character, plain) else "_" for character in name)
    if key == name:
        return shortened(name, max_bytes)
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return shortened(key, max_bytes - len(digest) - 1) + f"-{digest}"


def _stays(character: str, plain: str) -> bool:
    """Whether a key may have the character: letters, their marks, and digits do no harm anywhere."""
    return character in plain or unicodedata.category(character)[0] in "LMN"


def equals(field: str, value: str) -> str:
    """Return the condition of an MLflow filter that ``field`` is ``value``.

    What cannot stand in a filter is a wildcard there: so it may find a value that differs in such a character, and
    who needs to be sure looks at what was found.
    """
    if any(character in _UNQUOTABLE for character in value):
        return f"{field} LIKE '{''.join('_' if character in _UNQUOTABLE else character for character in value)}'"
    return f"{field} = '{value}'"
