"""The images of a source on their way into a dataset folder."""

import errno
import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from components.dataset.image_checks import ImageChecks


class Collected(NamedTuple):
    """An image: the path of its file, and the SHA-256 (hex) of it."""

    file: str
    sha256: str


class Collection:
    """Images that have been written, each once. Those of one folder of the source are in one folder, under their own
    names in normal form C, as far as the file system has these: so it can be moved as a whole.

    ``images`` says which was added under which name; of two of one name it has both, in the order of their coming.
    ``sizes`` says how many images are in each folder.
    """

    def __init__(self, folder: Path, checks: ImageChecks) -> None:
        self._folder, self._checks = str(folder), checks
        self._folders: dict[str, str] = {}
        self._count = 0
        self.images: dict[str, list[Collected]] = {}
        self.sizes: Counter[str] = Counter()

    def add(self, name: str, chunks: Iterable[bytes]) -> None:
        sha256 = hashlib.sha256()
        with self._new_file(name) as file:
            for chunk in chunks:
                sha256.update(chunk)
                _write(file, chunk)
        self.adopt(name, str(file.name), sha256.hexdigest())

    def adopt(self, name: str, file: str, sha256: str) -> None:
        """Add an image that is in a file already."""
        self.images.setdefault(name, []).append(Collected(file, sha256))
        self.sizes[file.rpartition("/")[0]] += 1
        self._checks.submit(file)

    def problems(self) -> dict[str, str]:
        """Why images cannot be used, by their files."""
        return self._checks.problems()

    def _new_file(self, name: str) -> FileIO:
        parent, _, base = name.rpartition("/")
        folder = self._folders.get(parent)
        if folder is None:
            folder = self._folders[parent] = f"{self._folder}/{len(self._folders)}"
            Path(folder).mkdir()
        if not base.isascii():
            base = unicodedata.normalize("NFC", base)
        try:
            return FileIO(f"{folder}/{base}", "x")
        # There twice, too long, or not to be written in UTF-8: a number is a name, too.
        except (OSError, UnicodeEncodeError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.EEXIST, errno.ENAMETOOLONG, errno.EILSEQ):
                raise
            self._count += 1
            return FileIO(f"{folder}/.{self._count}", "x")


def _write(file: FileIO, chunk: bytes) -> None:
    """All of ``chunk``: an unbuffered file may take a part, and reports a full disk only when it takes none."""
    written = file.write(chunk)
    while written < len(chunk):
        written += file.write(memoryview(chunk)[written:])
