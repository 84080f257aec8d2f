"""Addresses of servers, stores and files that may hold a login: their text form never shows it."""

import re
from typing import Union
from urllib.parse import unquote

from dualgan.errors import SECRET_NAME, without_logins

HIDDEN = "***"
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)?([^/?#]*)(.*)", re.DOTALL)
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:\s]*)(:\d*)?")
_SECRET = re.compile(rf"([?&;]{SECRET_NAME}=)[^&;#]*", re.IGNORECASE)


class Address:
    """An address, perhaps with a login, as of ``https://USER:PASSWORD@host/path``.

    ``str`` and ``repr`` leave user name and password out, and show secret parameters as ``***``: so it may
    stand in every message, log and file. What opens a connection asks for ``reveal()``. Two are equal if all their
    text is, and any text is an address: what it leads to is for its user to check.
    """

    __slots__ = ("_login", "_rest", "_scheme")

    def __init__(self, text: Union[str, "Address"]) -> None:
        parts = _PARTS.fullmatch(text.reveal() if isinstance(text, Address) else text)
        assert parts, "every text has these parts"
        scheme, authority, rest = parts[1] or "", parts[2], parts[3]
        if "@" not in authority and "@" in rest and scheme and not _HOST_AND_PORT.fullmatch(authority):
            # A password with a "/", "?" or "#" that should have been percent-encoded.
            login, at, rest = (authority + rest).rpartition("@")
        else:
            login, at, host = authority.rpartition("@")
            # Without a scheme it may be a file's path, which may have an "@" as well.
            if not scheme and ":" not in login:
                login, at, host = "", "", authority
            rest = host + rest
        self._scheme, self._login, self._rest = scheme, login + at, rest

    def reveal(self) -> str:
        """Return the whole text, login included: for what connects, never for what is shown or written."""
        return f"{self._scheme}{self._login}{self._rest}"

    @property
    def scheme(self) -> str:
        """Such as "https", in lower case; "" if there is none."""
        return self._scheme.removesuffix("://").lower()

    @property
    def is_http(self) -> bool:
        return self.scheme in ("http", "https")

    @property
    def username(self) -> str:
        """The user name, "" if there is none."""
        return unquote(self._login.removesuffix("@").partition(":")[0])

    @property
    def password(self) -> str:
        """The password, "" if there is none."""
        return unquote(self._login.removesuffix("@").partition(":")[2])

    @property
    def has_secret(self) -> bool:
        """Whether the text form leaves anything out."""
        return str(self) != self.reveal()

    @property
    def without_login(self) -> "Address":
        """The same address for a client that gets user name and password in another way."""
        return Address(self._scheme + self._rest)

    def __str__(self) -> str:
        return without_logins(_SECRET.sub(rf"\g<1>{HIDDEN}", self._scheme + self._rest))

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self.reveal() == other.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())


def without_secrets(query: str) -> str:
    """Return the query of an address without its secret parameters."""
    return "&".join(part for part in re.split("[&;]", query) if not _SECRET.match(f"&{part}"))
