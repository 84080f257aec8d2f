"""Small images, dataset folders and archives."""

import shutil
import zipfile
from pathlib import Path
from random import Random

from PIL import Image

PLACES = ("train/A", "train/B", "val/A", "val/B")


def make_image(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 8), (shade % 256, 90, 30)).save(path)
    return path


def make_dataset(folder: Path, places: tuple[str, ...] = PLACES, names: tuple[str, ...] = ("0.png", "1.jpg")) -> Path:
    for i, place in enumerate(places):
        for j, name in enumerate(names):
            make_image(folder / place / name, 40 * i + 10 * j)
    return folder


def zipped(folder: Path, archive: Path) -> Path:
    """``folder`` itself, not only what is in it, as a zip file."""
    return Path(shutil.make_archive(f"{archive}-packed", "zip", folder.parent, folder.name)).rename(archive)


def tarred(folder: Path, archive: Path) -> Path:
    return Path(shutil.make_archive(f"{archive}-packed", "gztar", folder.parent, folder.name)).rename(archive)


def add_to_zip(archive: Path, name: str, content: bytes = b"", mode: int = 0o100644) -> Path:
    member = zipfile.ZipInfo(name)
    member.create_system = 3
    member.external_attr = mode << 16
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(member, content)
    return archive


def noise(size: int) -> bytes:
    """Bytes that do not compress, the same every time."""
    return Random(0).randbytes(size)


def make_noisy_image(path: Path, seed: int, width: int = 128, height: int = 128) -> Path:
    """A picture of about three bytes a pixel, other for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = Random(seed).randbytes(3 * width * height)
    Image.frombytes("RGB", (width, height), content).save(path)
    return path


def make_pairs(folder: Path, splits: dict[str, int], size: tuple[int, int] = (32, 16)) -> Path:
    """``splits`` says how many images each has: red (A) on the left, blue (B) on the right."""
    for split, count in splits.items():
        for number in range(count):
            path = folder / split / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            both = Image.new("RGB", size, (200 + number, 0, 0))
            both.paste((0, 0, 200 + number), (size[0] // 2, 0, *size))
            both.save(path)
    return folder


def everything_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
