"""A measure, not a test: how fast a fetch is beside curl, unzip and sha256sum.

    python -m tests.components.dataset.measure [--images 10000] [--rounds 3] [--form png|jpg] [--folder .]

It needs curl and unzip. It fetches, verifies and describes small images from a server on loopback, in turn with
``curl``, ``unzip`` and ``sha256sum`` of the archive and of every file, and prints the best and median seconds of both.
"""

# ruff: noqa: T201

import argparse
import io
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from tests.components.dataset.made import PLACES

SIDE = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--form", choices=["png", "jpg"], default="png")
    parser.add_argument("--folder", type=Path, help="where to work; default: the system's temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        measure_speed(Path(scratch), options.images, options.rounds, options.form)


def measure_speed(folder: Path, count: int, rounds: int, form: str) -> None:
    archive = folder / "www" / "faces.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(count):
            packed.writestr(f"faces/{PLACES[number % 4]}/{number:06d}.{form}", small_image(number, form))
    print(f"{count} images of {SIDE} px, {archive.stat().st_size / 1e6:.1f} MB, {psutil.cpu_count()} processors")
    with served(archive.parent) as address:
        taken: dict[str, list[tuple[float, float]]] = {"curl, unzip, sha256sum": [], "fetch": []}
        url = f"{address}/faces.zip"
        for number in range(rounds):
            # What they made stays until the end: ext4 is slow to make files just after it removed as many.
            tools, destination = folder / f"tools-{number}", folder / f"fetched-{number}"
            taken["curl, unzip, sha256sum"].append(timed(lambda at=tools: usual_tools(url, at)))  # type: ignore[misc]
            taken["fetch"].append(timed(lambda at=destination: fetched(url, at).wait()))  # type: ignore[misc]
    middle = {name: [statistics.median(column) for column in zip(*both, strict=True)] for name, both in taken.items()}
    for name, both in taken.items():
        listed = ", ".join(f"{seconds:.2f} ({processor:.2f})" for seconds, processor in both)
        seconds, processor = middle[name]
        print(f"{name:<24} median {seconds:.2f} s, {processor:.2f} s of a processor; each: {listed}")
    best = [min(seconds for seconds, _ in both) for both in taken.values()]
    print(
        f"fetch has {best[0] / best[1]:.2f} (best) and {middle['curl, unzip, sha256sum'][0] / middle['fetch'][0]:.2f} "
        "(median) times their speed; the bound is 0.5"
    )


def small_image(number: int, form: str) -> bytes:
    coarse = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    written = io.BytesIO()
    picture.save(written, "PNG" if form == "png" else "JPEG")
    return written.getvalue()


def usual_tools(url: str, folder: Path) -> None:
    folder.mkdir()
    script = (
        'curl --silent --fail --output faces.zip "$1" && unzip -q faces.zip && sha256sum faces.zip >sums '
        "&& find faces -type f -print0 | xargs -0 sha256sum >>sums"
    )
    subprocess.run(["bash", "-c", script, "bash", url], cwd=folder, check=True)


def fetched(source: str, destination: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "components.dataset", "fetch", source, str(destination), "--no-lock"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds that ``work`` took, and seconds of a processor that its processes took."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of ``folder``, which is a process of its own."""
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        # "Serving HTTP on 127.0.0.1 port 40000 (http://127.0.0.1:40000/) ..."
        yield server.stdout.readline().partition("(")[2].partition("/)")[0]
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
