"""The options of the synthetic dataset, and how a source spells them."""

from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from dualgan.errors import BadInput


class SyntheticOptions(NamedTuple):
    """``n`` training images a domain, ``size`` pixels a side."""

    seed: int = 0
    n: int = 120
    size: int = 64

    @property
    def validation(self) -> int:
        """Validation images a domain."""
        return max(8, self.n // 10)

    def __str__(self) -> str:
        return f"synthetic://?seed={self.seed}&n={self.n}&size={self.size}"


LIMITS = {"seed": (0, 2**32 - 1), "n": (1, 10000), "size": (32, 512)}


def parse_synthetic(text: str) -> SyntheticOptions:
    """The options in ``synthetic`` or ``synthetic://?seed=0&n=120&size=64``, defaults where left out.

    Raises BadInput for an unknown or repeated option and for a value outside LIMITS.
    """
    form = "the form is synthetic://?seed=0&n=120&size=64"
    url = urlsplit(text)
    if url.netloc or url.path not in ("", "/", "synthetic") or url.fragment or "?" in url.path:
        raise BadInput(f"{text}: not a synthetic dataset; {form}")
    try:
        pairs = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError:
        raise BadInput(f"{text}: '{url.query}' is not a list of options; {form}") from None
    options: dict[str, int] = {}
    for key, value in pairs:
        if key not in LIMITS:
            raise BadInput(f"{text}: unknown option '{key}'; there are {', '.join(LIMITS)}")
        if key in options:
            raise BadInput(f"{text}: option '{key}' is given twice")
        options[key] = _number(text, key, value)
    return SyntheticOptions(**options)


def _number(text: str, key: str, value: str) -> int:
    low, high = LIMITS[key]
    if not (value.isascii() and value.isdigit() and len(value) <= 10 and low <= int(value) <= high):
        raise BadInput(f"{text}: {key} must be a whole number from {low} to {high}, not '{value}'")
    return int(value)
