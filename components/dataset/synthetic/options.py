"""The options of the synthetic dataset, and how a source spells them."""

from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from dualgan.errors import BadInput

FORM = "the form is synthetic://?seed=0&n=120&size=64"
LIMITS = {"seed": (0, 2**32 - 1), "n": (1, 10000), "size": (32, 512)}


class SyntheticOptions(NamedTuple):
    """``n`` training images a domain, ``size`` pixels a side."""

    seed: int = 0
    n: int = 120
    size: int = 64

    @property
    def validation(self) -> int:
        """The number of validation images a domain."""
        return max(8, self.n // 10)

    def __str__(self) -> str:
        return f"synthetic://?seed={self.seed}&n={self.n}&size={self.size}"


def parse_synthetic(text: str) -> SyntheticOptions:
    """Return the options in ``synthetic`` or ``synthetic://?seed=0&n=120&size=64``, defaults for what is left out.

    Raises BadInput for an unknown or repeated option and for a value outside LIMITS.
    """
    url = urlsplit(text)
    if url.netloc or url.path not in ("", "/", "synthetic") or url.fragment or "?" in url.path:
        raise BadInput(f"{text}: not a synthetic dataset; {FORM}")
    try:
        pairs = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError:
        raise BadInput(f"{text}: '{url.query}' is not a list of options; {FORM}") from None
    options: dict[str, int] = {}
    for key, value in pairs:
        if key not in LIMITS:
            raise BadInput(f"{text}: unknown option '{key}'; there are {', '.join(LIMITS)}")
        if key in options:
            raise BadInput(f"{text}: option '{key}' is given twice")
        low, high = LIMITS[key]
        if not (value.isascii() and value.isdigit() and len(value) <= 10 and low <= int(value) <= high):
            raise BadInput(f"{text}: {key} must be a whole number from {low} to {high}, not '{value}'")
        options[key] = int(value)
    return SyntheticOptions(**options)
