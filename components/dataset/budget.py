"""What an archive may unpack to."""

import io
from typing import BinaryIO

from components.dataset.options import Limits
from dualgan.errors import BadInput

# Small archives of very regular images are packed better than any ratio that tells a bomb.
RATIO_MATTERS_FROM = 1 << 20
# No header of a tar file is as long; tarfile would read one of any length into memory.
LONGEST_HEADER = 16 << 20


class Budget:
    """Counts what comes out of an archive of ``packed`` bytes; every method raises BadInput beyond the limits."""

    def __init__(self, limits: Limits, packed: int, shown: str) -> None:
        self.shown = shown
        self._limits, self._packed = limits, packed
        self._files = self._size = 0

    def add_file(self) -> None:
        self._files += 1
        if self._files > self._limits.files:
            raise BadInput(f"{self.shown}: refused, the archive holds more than {self._limits.files} files")

    def add(self, size: int) -> None:
        self._size += size
        self.require(0)

    def require(self, size: int) -> None:
        """``size`` more bytes must be within the limits."""
        total = self._size + size
        if total > self._limits.size:
            raise BadInput(f"{self.shown}: refused, the archive unpacks to more than {self._limits.size} bytes")
        if total > RATIO_MATTERS_FROM and total > self._limits.ratio * self._packed:
            raise BadInput(
                f"{self.shown}: refused, the archive unpacks to more than {self._limits.ratio:g} times its size"
            )


class HeaderGuard(io.RawIOBase):
    """``stream``, of which no header may be longer than LONGEST_HEADER: BadInput."""

    def __init__(self, stream: BinaryIO, shown: str) -> None:
        self._stream, self._shown = stream, shown
        self._left: int | None = None

    def header_begins(self) -> None:
        self._left = LONGEST_HEADER

    def header_ends(self) -> None:
        self._left = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        if self._left is not None:
            self._left -= len(content)
            if self._left < 0:
                raise BadInput(f"{self._shown}: refused, a header of the archive exceeds {LONGEST_HEADER} bytes")
        return content
