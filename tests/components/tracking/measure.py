"""python -m tests.components.tracking.measure bulk|cost: what sending to MLflow takes, on this machine.

bulk: a run folder of many steps and images into a local server, then once more. cost: a training with and without
logging, the server up and down.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from components.tracking.follower import NICENESS
from components.tracking.store import connect, store_uri
from components.tracking.ui import serve
from dualgan.run_folder import LOSS_METRICS, SAMPLE_KINDS, RunFolder, sample_path
from tests.components.tracking.folders import START_TIME, begin, finish, typed
from tests.components.tracking.logging_cost import interval, logging_cost
from tests.services import free_port


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


def cost(folder: Path, pairs: int) -> None:
    """Train beside a follower whose server is up, and once more with nothing at its address.

    A server is another machine's work; here it gets what the training leaves.
    """
    dataset = make_dataset(folder / "faces")
    with serve(new_store(folder), free_port()) as up:
        for process in psutil.Process().children(recursive=True):
            process.nice(NICENESS)
        for way, uri in (("server up", up), ("server down", f"http://127.0.0.1:{free_port()}")):
            measured = logging_cost(folder / way.replace(" ", "-"), dataset, uri, pairs)
            tell(
                f"{way:<12} a step takes {more(measured.time)} of time and {more(measured.work)} of the training's own "
                f"processor time ({pairs} pairs of turns); follower: {100 * measured.processor:.1f}% of a core, "
                f"{measured.memory / 1e6:.0f} MB"
            )


def more(ratios: tuple[float, ...]) -> str:
    low, high = (100 * (end - 1) for end in interval(ratios))
    return f"{100 * (float(np.median(ratios)) - 1):+.2f}% (95%: {low:+.2f} to {high:+.2f}%)"


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
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=100, help="of turns with logging and without")
    chosen = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with tempfile.TemporaryDirectory() as folder:
        if chosen.what == "bulk":
            bulk(Path(folder), chosen.steps, chosen.images)
        else:
            cost(Path(folder), chosen.pairs)


if __name__ == "__main__":
    main()
