"""python -m tests.components.tracking.measure bulk|cost: what sending to MLflow takes, on this machine.

bulk: a run folder of many steps and images into a local server, then once more. cost: a training with and without
logging, the server up and down; the runs take turns, so that what else the machine does meets all of them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from components.look.progress import say
from components.tracking.live import follow_in_background
from components.tracking.placement import Placement
from components.tracking.store import connect, store_uri
from components.tracking.ui import serve
from components.train.runtimes import python_of, trainer_environment
from dualgan.run_folder import LOSS_METRICS, SAMPLE_KINDS, RunFolder, read_json, sample_path
from tests.components.tracking.folders import START_TIME, begin, finish, typed
from tests.services import free_port

MODEL = ("--image_size", "64", "--gcn", "16", "--dcn", "16", "--threads", "1", "--sample_freq", "0")


def bulk(folder: Path, steps: int, images: int) -> None:
    """Sync ``steps`` steps of nine losses and ``images`` images of 256 px, twice."""
    run = many_steps(folder / "run", steps, images)
    store = new_store(folder)
    with serve(store, free_port()) as address:
        command = [sys.executable, "-W", "ignore", "-m", "components.tracking", "sync", str(run)]
        for time_of in ("first", "second"):
            began = time.monotonic()
            answer = subprocess.run(
                [*command, "--tracking-uri", address], capture_output=True, text=True, check=True, timeout=3600
            )
            sent = answer.stdout.partition(" to run")[0]
            tell(f"{time_of} sync: {time.monotonic() - began:.1f} s; {sent}")
        client = connect(address)
        (leg,) = client.search_runs(["1"], "tags.leg = 'cpu'")
        stored = len(client.get_metric_history(leg.info.run_id, "loss/A_loss"))
        tell(f"points of loss/A_loss: {stored} of {steps}")


def many_steps(folder: Path, steps: int, images: int) -> Path:
    begin(folder)
    random = np.random.default_rng(0)
    losses = random.random((steps, len(LOSS_METRICS)))
    sets = images // len(SAMPLE_KINDS)
    with RunFolder(folder).events.open("a") as file:
        for step in range(1, steps + 1):
            metrics = dict(zip(LOSS_METRICS, losses[step - 1].tolist(), strict=True))
            event: dict[str, Any] = {"step": step, "time": START_TIME + step / 10, "seconds": 0.1, "epoch": 0}
            file.write(json.dumps({**event, "metrics": metrics}) + "\n")
            if step % (steps // sets) == 0:
                target = RunFolder(folder).samples_of(step)
                target.mkdir(parents=True)
                for kind in SAMPLE_KINDS:
                    pixels = random.integers(0, 256, (256, 256, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(sample_path(target, "0", kind))
                file.write(json.dumps(typed("sample", step)) + "\n")
    finish(folder, steps)
    return folder


def cost(folder: Path, steps: int, rounds: int) -> None:
    """Train ``steps`` steps in each way, ``rounds`` times."""
    dataset = make_dataset(folder / "faces")
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    with serve(new_store(folder), free_port()) as up:
        ways = {"off": None, "server up": up, "server down": f"http://127.0.0.1:{free_port()}"}
        for number in range(rounds):
            for way, uri in ways.items():
                measured = train(folder / f"{way.replace(' ', '-')}-{number}", dataset, steps, uri)
                found.setdefault(way, []).append(measured)
                whole, step, memory, busy = measured
                tell(
                    f"{way:<12} {whole:6.2f} s of steps, {1000 * step:.3f} ms a step, "
                    f"follower: {memory / 1e6:.0f} MB, {busy:.1f} s of CPU",
                )
    of_off = [min(way[index] for way in found["off"]) for index in (0, 1)]
    for way, runs in found.items():
        whole, step = (min(run[index] for run in runs) for index in (0, 1))
        memory = statistics.median(run[2] for run in runs)
        tell(
            f"{way:<12} best of {rounds}: time of all steps {100 * (whole / of_off[0] - 1):+.2f}%, "
            f"median step {100 * (step / of_off[1] - 1):+.2f}%, memory {memory / 1e6:.0f} MB"
        )


def train(run: Path, dataset: Path, steps: int, uri: str | None) -> tuple[float, float, float, float]:
    """Seconds of all steps and of the median step; the follower's peak proportional set size in bytes, and CPU time."""
    command = [str(python_of("tf2")), "-m", "dualgan", "train", *MODEL, "--max_steps", str(steps), "--save_freq", "0"]
    command += ["--data_dir", str(dataset), "--run_dir", str(run), "--cache_dir", str(dataset.with_name("cache"))]

    def follow_the_process(follower: psutil.Process | None) -> tuple[float, float]:
        process = subprocess.Popen(
            command, env=trainer_environment({}), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        memory = busy = 0.0
        while process.poll() is None:
            if follower is not None and follower.is_running():
                memory = max(memory, follower.memory_full_info().pss)
                busy = sum(follower.cpu_times()[:2])
            time.sleep(0.25)
        assert process.returncode == 0, process.communicate()[1]
        return memory, busy

    memory = busy = 0.0
    if uri is None:
        follow_the_process(None)
    else:
        with follow_in_background(run, Placement(uri, leg=run.name), run.name, say, patience=20):
            (follower,) = psutil.Process().children()[-1:]
            memory, busy = follow_the_process(follower)
    summary = read_json(RunFolder(run).summary)
    return float(summary["time"]["training"]), float(summary["sec_per_step"]), memory, busy


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def make_dataset(folder: Path) -> Path:
    random = np.random.default_rng(0)
    for place in ("train/A", "train/B", "val/A", "val/B"):
        (folder / place).mkdir(parents=True)
        for number in range(8):
            pixels = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / place / f"{number}.png")
    return folder


def new_store(folder: Path) -> Path:
    store = folder / "mlflow"
    connect(store_uri(store)).search_experiments()
    return store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("bulk", "cost"))
    parser.add_argument("--steps", type=int, help="default: 100000 for bulk, 2000 for cost")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with tempfile.TemporaryDirectory() as folder:
        if chosen.what == "bulk":
            bulk(Path(folder), chosen.steps or 100_000, chosen.images)
        else:
            cost(Path(folder), chosen.steps or 2_000, chosen.rounds)


if __name__ == "__main__":
    main()
