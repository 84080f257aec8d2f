"""make bench: the trainer's steps against a loop shaped like the reference's, and the feed alone, on each runtime."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.common.revision import WORKING_TREE
from components.train.runtimes import RUNTIMES, is_set_up, python_of, trainer_environment

# Wide networks are bound by matrix products, narrow ones by overhead. A round is short enough that a machine's
# slow moments hit both loops alike.
STEPS_A_ROUND: Mapping[int, int] = {4: 10, 64: 1}
IMAGES = 24
FEED_STEPS = 2000

HEADINGS = """\
                  wall time                    CPU time                 GFLOP  matmul    GB a  memory    limit
runtime  gcn   reference     ours   ratio   reference     ours   ratio  a step GFLOP/s  step   GB/s       s  share"""

Measurement = Mapping[str, Any]


def make_dataset(folder: Path) -> None:
    """Photo-like JPEG images of 256 px, the size that the reference's datasets have."""
    random = np.random.default_rng(0)
    for place in ("train/A", "train/B"):
        (folder / place).mkdir(parents=True)
        for number in range(IMAGES):
            coarse = Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            coarse.resize((256, 256), Image.Resampling.BICUBIC).save(folder / place / f"{number}.jpg", quality=90)


def started(runtime: str, *arguments: object) -> "subprocess.Popen[str]":
    environment = trainer_environment({})
    environment["PYTHONPATH"] = os.pathsep.join([str(WORKING_TREE), environment["PYTHONPATH"]])
    command = [str(python_of(runtime)), "-m", "tests.bench.worker", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def ended(worker: "subprocess.Popen[str]") -> list[Measurement]:
    """Return what a worker printed that nobody has read yet."""
    printed, errors = worker.communicate()
    if worker.returncode:
        sys.exit(f"bench: {' '.join(map(str, worker.args))} failed:\n{errors}")  # type: ignore[arg-type]
    return [json.loads(line) for line in printed.splitlines()]


def rounds(runtime: str, count: int, *arguments: object) -> Iterator[Measurement]:
    """Yield what both loops measure in ``count`` rounds, of which one does one and then the other one."""
    loops = [started(runtime, name, *arguments) for name in ("reference", "ours")]
    for loop in loops:
        for line in loop.stdout or ():
            measured = json.loads(line)
            if measured["kind"] == "ready":
                break
            yield measured
    for _ in range(count):
        for loop in loops:
            if loop.poll() is None and loop.stdin and loop.stdout:
                loop.stdin.write("\n")
                loop.stdin.flush()
                yield json.loads(loop.stdout.readline() or "{}")
    for loop in loops:
        yield from ended(loop)


def median(found: Sequence[Measurement], key: str, **wanted: object) -> float:
    chosen = [float(item[key]) for item in found if all(item.get(name) == value for name, value in wanted.items())]
    return statistics.median(chosen)


def row(runtime: str, gcn: int, found: Sequence[Measurement]) -> str:
    """One line of the table: medians of the rounds, and what the machine leaves to gain.

    The limit: all products at the rate of a large one, then all that operations read and write at the memory's.
    """
    seconds = {loop: median(found, "wall", loop=loop, gcn=gcn) for loop in ("reference", "ours")}
    cpu = {loop: median(found, "cpu", loop=loop, gcn=gcn) for loop in ("reference", "ours")}
    flops, traffic = (median(found, key, kind="costs", gcn=gcn) for key in ("flops", "bytes"))
    flops_rate, memory_rate = (median(found, f"{key}_per_second", kind="rates", gcn=gcn) for key in ("flops", "bytes"))
    limit = flops / flops_rate + traffic / memory_rate
    return (
        f"{runtime:<8}{gcn:>4}{seconds['reference']:>12.4f}{seconds['ours']:>9.4f}"
        f"{seconds['reference'] / seconds['ours']:>8.2f}{cpu['reference']:>12.4f}{cpu['ours']:>9.4f}"
        f"{cpu['reference'] / cpu['ours']:>8.2f}{flops / 1e9:>8.1f}{flops_rate / 1e9:>9.0f}"
        f"{traffic / 1e9:>8.1f}{memory_rate / 1e9:>7.0f}{limit:>9.4f}{limit / seconds['ours']:>7.0%}"
    )


def table_of_operations(found: Mapping[str, Sequence[Measurement]]) -> Iterator[str]:
    """The second table's lines: milliseconds of a step on one thread, by what operations do."""
    measured = [(name, one) for name, many in found.items() for one in many if one.get("kind") == "operations"]
    kinds = list(measured[0][1]["seconds"])
    yield "runtime  gcn" + "".join(f"{kind:>13}" for kind in kinds)
    for runtime, gcn in dict.fromkeys((name, one["gcn"]) for name, one in measured):
        of_all = [one["seconds"] for name, one in measured if (name, one["gcn"]) == (runtime, gcn)]
        yield f"{runtime:<8}{gcn:>4}" + "".join(f"{1000 * min(one[kind] for one in of_all):>13.1f}" for kind in kinds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each process; loops take turns (default: 7)")
    parser.add_argument("--repeats", type=int, default=2, help="processes of each runtime, in turns (default: 2)")
    parser.add_argument("--gcn", type=int, nargs="+", choices=sorted(STEPS_A_ROUND), default=sorted(STEPS_A_ROUND))
    parser.add_argument(
        "--threads", type=int, default=0, help="CPU threads an operation (default: 0, each loop's own choice)"
    )
    arguments = parser.parse_args()
    runtimes = [runtime for runtime in RUNTIMES if is_set_up(runtime)]
    with tempfile.TemporaryDirectory() as temporary:
        dataset = Path(temporary)
        make_dataset(dataset)
        found: dict[str, list[Measurement]] = {runtime: [] for runtime in runtimes}
        for _ in range(arguments.repeats):
            for gcn in arguments.gcn:
                for runtime in runtimes:
                    size = ("--gcn", gcn, "--steps", STEPS_A_ROUND[gcn], "--threads", arguments.threads)
                    found[runtime] += rounds(runtime, arguments.rounds, dataset, *size)
                    for what in ("rates", "operations"):
                        found[runtime] += ended(started(runtime, what, dataset, "--gcn", gcn))
            for runtime in runtimes:
                found[runtime] += ended(started(runtime, "feed", dataset, "--steps", FEED_STEPS))
    print(
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores; 256 px, wgan-gp, batch 1; medians, s a step\n"
    )
    print(HEADINGS)
    for runtime in runtimes:
        for gcn in arguments.gcn:
            print(row(runtime, gcn, found[runtime]))
    print("\nms of a step on one thread, by what operations do", *table_of_operations(found), sep="\n")
    print()
    for runtime in runtimes:
        images = median(found[runtime], "images_per_sec", kind="feed")
        print(f"{runtime}: the feed alone gives {images:,.0f} images a second")


if __name__ == "__main__":
    main()
