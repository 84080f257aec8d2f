"""Whether files are whole images of a sensible size: checked in processes of their own.

Decoding what anybody may have made is kept out of the process that fetches.
"""

import io
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from PIL import BmpImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from components.common.console import Progress
from components.dataset.layout import CONVERTED_ENDINGS
from components.dataset.options import Limits

# So few images are checked sooner than a process starts; so many are sent to one at a time.
BATCH = 64
MAX_PROCESSES = 8
READ_AT_ONCE = 1 << 20
# Pillow's names of pixels of 8 bits; it would cut others off, not scale them.
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")


def open_image(file: BinaryIO, any_format: bool = False) -> ImageFile.ImageFile | None:
    """Return the image that ``file`` holds by its first bytes, None for anything but a JPEG or PNG.

    Only Pillow's readers of these are tried, and with ``any_format`` those of BMP, WebP and TIFF. Pixels are not read.
    """
    start = file.read(12)
    file.seek(0)
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImagePlugin.PngImageFile(file)
    if start.startswith(b"\xff\xd8\xff"):
        return JpegImagePlugin.JpegImageFile(file)
    if any_format and start.startswith(b"BM"):
        return BmpImagePlugin.BmpImageFile(file)
    if any_format and start.startswith(b"RIFF") and start.endswith(b"WEBP"):
        return WebPImagePlugin.WebPImageFile(file)
    if any_format and start.startswith((b"II*\0", b"MM\0*")):
        return TiffImagePlugin.TiffImageFile(file)
    return None


def problem(path: str, limits: Limits) -> str:
    """Return why the file cannot be used, "" if it can. Pillow's own verdict on it decides."""
    try:
        with Path(path).open("rb", buffering=0) as file:
            # A small file is read at once; of a large one Pillow reads what it needs.
            start = file.read(READ_AT_ONCE)
            if not start:
                return "empty file"
            file.seek(0)
            if len(start) < READ_AT_ONCE:
                return _problem(io.BytesIO(start), path.endswith(CONVERTED_ENDINGS), limits)
            return _problem(io.BufferedReader(file), path.endswith(CONVERTED_ENDINGS), limits)
    # Pillow's decoders raise errors of many kinds for a damaged file.
    except Exception as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__


def _problem(file: BinaryIO, any_format: bool, limits: Limits) -> str:
    image = open_image(file, any_format)
    if image is None:
        return "neither JPEG, PNG, BMP, WebP nor TIFF" if any_format else "neither JPEG nor PNG"
    width, height = image.size
    if width * height > limits.pixels:
        return f"{width}x{height} pixels, more than {limits.pixels}: a decompression bomb"
    if min(width, height) < limits.side:
        return f"{width}x{height} pixels, too small: less than {limits.side} a side"
    if any_format and image.mode not in MODES:
        return f"pixels of more than 8 bits (Pillow's mode {image.mode})"
    # All of a JPEG is decoded, but only an eighth of the pixels a side is computed.
    image.draft(None, (1, 1))
    image.load()
    return ""


def _problems(paths: Sequence[str], limits: Limits) -> list[str]:
    # What Pillow only warns of is no reason to refuse a file.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [problem(path, limits) for path in paths]


class ImageChecks:
    """Checks files while more of them are being written: ``submit`` what is written, then ask for ``problems``."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: list[str] = []
        self._sent: list[tuple[list[str], Future[list[str]]]] = []
        self._pool = _pool(min(len(os.sched_getaffinity(0)), MAX_PROCESSES))

    def submit(self, file: str) -> None:
        self._waiting.append(file)
        if len(self._waiting) == BATCH:
            batch, self._waiting = self._waiting, []
            self._sent.append((batch, self._send(batch)))

    def problems(self) -> dict[str, str]:
        """Return why files cannot be used, of those submitted."""
        found = {}
        with Progress("checking", BATCH * len(self._sent) + len(self._waiting), "images") as progress:
            for file, reason in self._answers():
                progress.advance(1)
                if reason:
                    found[file] = reason
        return found

    def _answers(self) -> Iterator[tuple[str, str]]:
        for batch, answer in self._sent:
            try:
                reasons = answer.result()
            except BrokenProcessPool:
                # A decoder has crashed, perhaps on another batch: of this one each file is tried alone.
                reasons = [self._check_alone(file) for file in batch]
            yield from zip(batch, reasons, strict=True)
        yield from zip(self._waiting, _problems(self._waiting, self._limits), strict=True)

    def _check_alone(self, file: str) -> str:
        try:
            return self._send([file]).result()[0]
        except BrokenProcessPool:
            return "decoding it ended the decoder"

    def _send(self, files: list[str]) -> "Future[list[str]]":
        try:
            return self._pool.submit(_problems, files, self._limits)
        except BrokenProcessPool:
            self._pool = _pool(1)
            return self._pool.submit(_problems, files, self._limits)

    def __enter__(self) -> "ImageChecks":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=kind is None, cancel_futures=True)
        if kind is not None:
            for process in multiprocessing.active_children():
                process.kill()


def _pool(processes: int) -> ProcessPoolExecutor:
    # Not forked: the process that fetches may have threads.
    context = multiprocessing.get_context("forkserver")
    return ProcessPoolExecutor(processes, mp_context=context, initializer=_begin)


def _begin() -> None:
    """Make a process of the pool quiet, and let it end with the one that fetches: else it would wait forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
