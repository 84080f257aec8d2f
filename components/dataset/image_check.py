"""Whether a file is a whole JPEG or PNG of a sensible size. Also a program of its own: decoding what anybody may have
made is kept out of the process that fetches, and runs on as many processors as there are.
"""

import io
import json
import os
import sys
import warnings
from typing import BinaryIO

from PIL import ImageFile, JpegImagePlugin, PngImagePlugin

TAIL = 1 << 16
READ_AT_ONCE = 1 << 20


def problem(path: str, most_pixels: int, least_side: int) -> str:
    """Why the file cannot be used; "" where it can."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - Path would cost more than reading
            start = file.read(READ_AT_ONCE)
            if len(start) < READ_AT_ONCE:
                return _problem(io.BytesIO(start), len(start), most_pixels, least_side)
        with open(path, "rb") as large:  # noqa: PTH123
            return _problem(large, os.fstat(large.fileno()).st_size, most_pixels, least_side)
    # Pillow's decoders raise errors of many kinds for a damaged file.
    except Exception as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__


def _problem(file: BinaryIO, length: int, most_pixels: int, least_side: int) -> str:
    start = file.read(8)
    if not start:
        return "empty file"
    file.seek(0)
    image: ImageFile.ImageFile
    if start == b"\x89PNG\r\n\x1a\n":
        image, end = PngImagePlugin.PngImageFile(file), b"IEND"
    elif start.startswith(b"\xff\xd8\xff"):
        image, end = JpegImagePlugin.JpegImageFile(file), b"\xff\xd9"
    else:
        return "neither JPEG nor PNG"
    width, height = image.size
    if width * height > most_pixels:
        return f"{width}x{height} pixels, more than {most_pixels}: a decompression bomb"
    if min(width, height) < least_side:
        return f"{width}x{height} pixels, too small: less than {least_side} a side"
    # All of a JPEG is decoded, but only an eighth of the pixels a side is computed.
    image.draft(None, (1, 1))
    image.load()
    file.seek(max(0, length - TAIL))
    return "" if end in file.read() else "truncated: its end is missing"


def serve() -> None:
    """Answer each line of standard input, ``[most_pixels, least_side, [path, ...]]``, by a line of problems."""
    # What Pillow only warns of is no reason to refuse a file.
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        most_pixels, least_side, paths = json.loads(line)
        sys.stdout.write(json.dumps([problem(path, most_pixels, least_side) for path in paths]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
