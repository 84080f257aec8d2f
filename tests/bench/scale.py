"""make bench-scale: time and memory of what grows with pictures, steps and events, against how many there are.

Each number is of a process of its own: the processor seconds and the seconds of the work without Python's start and
imports, and the most memory that the process had. Growth is what one more picture, step or event costs between the two
largest sizes over what it costs between the two smallest; exit code 1 if it is above MAX_GROWTH somewhere.
"""

# ruff: noqa: T201
import argparse
import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

MAX_GROWTH = 1.5
IMAGE_SIZE = 16
# Distinct pictures, to which the others are hard links: they are read, hashed and decoded like any other.
DISTINCT = 250
LEGS, SEEDS = ("gpu", "npu"), 10
FEED = (0.123457, -0.234568, 0.345679, 0.123457, -0.234568, 0.345679)


def make_pictures(folder: Path, size: int) -> None:
    """Two domains of pictures, ``size`` in all."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(DISTINCT):
        pixels = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    for place in ("train/A", "train/B"):
        (folder / "data" / place).mkdir(parents=True)
        for number in range(size // 2):
            os.link(folder / f"{number % DISTINCT}.png", folder / "data" / place / f"{number:06d}.png")


def list_pictures(folder: Path, size: int) -> None:
    from dualgan.dataset_folder import image_counts, left_out

    counts = image_counts(folder / "data")
    assert sum(counts.values()) == size and not left_out(folder / "data")


def hash_pictures(folder: Path, size: int) -> None:
    from dualgan.dataset_folder import content_digest

    assert len(content_digest(folder / "data")) == 64


def decode_pictures(folder: Path, size: int) -> None:
    from dualgan.image_cache import decoded_images
    from dualgan.options import TrainOptions

    options = TrainOptions(data_dir=str(folder / "data"), image_size=IMAGE_SIZE)
    for domain in "AB":
        images, names = decoded_images(options, "train", domain, "digest", folder / "cache")
        assert len(images) == len(names) == size // 2


def make_legs(folder: Path, size: int) -> None:
    """Run folders of LEGS with SEEDS runs of ``size`` steps each."""
    from tests.components.run_folders import loss_rows, write_events, write_leg

    for place, name in enumerate(LEGS):
        for number, source in enumerate(write_leg(name, folder / name, range(SEEDS), noise=place, images=16).sources):
            write_events(source.run / "events.jsonl", loss_rows(size, noise=SEEDS * place + number), feed=FEED)
            summary = source.run / "summary.json"
            summary.write_text(summary.read_text().replace('"steps": 60', f'"steps": {size}'))


def compare_legs(folder: Path, size: int) -> None:
    from parity.cli import main

    legs = [f"{name}={','.join(str(folder / name / f'seed-{seed}') for seed in range(SEEDS))}" for name in LEGS]
    assert main(["compare", *legs, "--output", str(folder / "output")]) == 0


def make_run(folder: Path, size: int) -> None:
    """The run folder of a training of ``size`` steps, and an empty store of MLflow."""
    from components.tracking.store import connect, store_uri
    from tests.components.run_folders import loss_rows, write_events
    from tests.components.tracking.folders import begin, finish

    run = begin(folder / "run")
    write_events(run / "events.jsonl", loss_rows(size), feed=FEED)
    finish(run, size)
    connect(store_uri(folder / "store")).search_experiments()


def sync_run(folder: Path, size: int) -> int:
    from components.tracking.store import store_uri
    from components.tracking.sync import RunFolderSync
    from components.tracking.target import TrackingTarget

    target = TrackingTarget(store_uri(folder / "store"), pipeline_run_id="run", leg="gpu", role="reference")
    return RunFolderSync(folder / "run", target).step(ended=True).metrics


def sync_whole_run(folder: Path, size: int) -> None:
    assert sync_run(folder, size) > 9 * size


def sync_again(folder: Path, size: int) -> None:
    assert sync_run(folder, size) == 0


class Subject(NamedTuple):
    """What grows: how to make so many of it, and what is then measured, in this order.

    imports: what the work imports, which is no part of it.
    """

    unit: str
    sizes: Sequence[int]
    make: Callable[[Path, int], None]
    works: Mapping[str, Callable[[Path, int], None]]
    imports: Sequence[str]


PICTURES, STEPS = (25_000, 50_000, 100_000, 200_000), (25_000, 50_000, 100_000, 200_000)
EVENTS = (125_000, 250_000, 500_000, 1_000_000)
SUBJECTS = {
    "pictures": Subject(
        "picture",
        PICTURES,
        make_pictures,
        {"listing": list_pictures, "digest": hash_pictures, "image cache": decode_pictures},
        ["dualgan.image_cache"],
    ),
    "compare": Subject(
        f"step of {len(LEGS)} x {SEEDS} runs",
        STEPS,
        make_legs,
        {"comparison": compare_legs},
        ["components.compare.report"],
    ),
    "sync": Subject(
        "event",
        EVENTS,
        make_run,
        {"sync": sync_whole_run, "sync again": sync_again},
        ["components.tracking.sync", "mlflow.store.tracking.sqlalchemy_store"],
    ),
}


class Cost(NamedTuple):
    cpu: float
    wall: float
    megabytes: float


def measured(subject: str, work: str, size: int, folder: Path) -> Cost:
    """What ``work`` costs in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.scale", subject, "--work", work, str(size), str(folder)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if finished.returncode:
        sys.exit(f"bench-scale: {' '.join(command)} failed")
    cost = Cost(**json.loads(finished.stdout.splitlines()[-1]))
    print(f"{subject}, {work}: {size:,} in {cost.cpu:.1f} s of a processor, {cost.megabytes:.0f} MB", file=sys.stderr)
    return cost


def do(subject: Subject, work: str, size: int, folder: Path) -> None:
    """Do the work in this process, and print its cost as JSON."""
    for name in subject.imports:
        importlib.import_module(name)
    cpu, wall = time.process_time(), time.perf_counter()
    {"make": subject.make, **subject.works}[work](folder, size)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(Cost(cpu, wall, megabytes)._asdict()))


def show(title: str, unit: str, costs: Mapping[int, Cost]) -> bool:
    """Print a table; return whether the growth is linear."""
    sizes = sorted(costs)

    def cpu_of_one_more(small: int, large: int) -> float:
        return (costs[large].cpu - costs[small].cpu) / (large - small)

    last = cpu_of_one_more(*sizes[-2:])
    growth = last / cpu_of_one_more(*sizes[:2])
    more = (costs[sizes[-1]].megabytes - costs[sizes[0]].megabytes) * 2**20 / (sizes[-1] - sizes[0])
    print(f"| {title} | " + " | ".join(f"{size:,}" for size in sizes) + f" | one more {unit} | growth |")
    print("| --- |" + " --- |" * (len(sizes) + 2))
    cells = " | ".join(f"{costs[size].cpu:.1f} ({costs[size].wall:.1f})" for size in sizes)
    print(f"| processor seconds (seconds) | {cells} | {1e6 * last:.0f} µs | {growth:.2f} |")
    print(
        "| peak memory, MB | "
        + " | ".join(f"{costs[n].megabytes:.0f}" for n in sizes)
        + f" | {max(0, more):.0f} bytes | |"
    )
    print(flush=True)
    return growth <= MAX_GROWTH


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-scale", description=__doc__)
    parser.add_argument("subjects", nargs="*", default=list(SUBJECTS), help="pictures, compare, sync (default: all)")
    parser.add_argument("--divide", type=int, default=1, help="divide all sizes by it, for a try (default: 1)")
    parser.add_argument("--folder", type=Path, help="for the data, 3 GB (default: the one for temporary files)")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work, size, folder = arguments.work
        do(SUBJECTS[arguments.subjects[0]], work, int(size), Path(folder))
        return 0
    print(f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores\n", flush=True)
    is_linear = True
    for name in arguments.subjects:
        subject = SUBJECTS[name]
        costs: dict[str, dict[int, Cost]] = {work: {} for work in subject.works}
        for size in (size // arguments.divide for size in subject.sizes):
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                measured(name, "make", size, Path(folder))
                for work in subject.works:
                    costs[work][size] = measured(name, work, size, Path(folder))
        for work, of_sizes in costs.items():
            is_linear = show(work, subject.unit, of_sizes) and is_linear
    return 0 if is_linear else 1


if __name__ == "__main__":
    sys.exit(main())
