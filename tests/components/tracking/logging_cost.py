"""What following a run costs its training: one training whose follower is stopped, and goes on, in turns.

Two trainings of the same length differ by more than logging costs, whatever they do; short turns within one meet the
same machine. A follower that goes on sends at once, which it does every five seconds otherwise: so it works twice as
much in its turns as it does where it is left alone. Images have the reference's size, the networks a quarter of its
filters: a step of the reference takes longer, and has as much to send.
"""

import itertools
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from scipy.stats import bootstrap

from components.common.console import print_status
from components.tracking.follower import follow_in_background
from components.tracking.placement import Placement
from components.train.runtimes import python_of, trainer_environment
from dualgan.run_folder import RunFolder, is_training_step, read_events

MODEL = ("--image_size", "256", "--gcn", "16", "--dcn", "16")
TURN = 2.5
# Seconds of training before the first turn.
WARM_UP = 20.0
ENDLESS = ("--train_epochs", "1000000", "--sample_freq", "0", "--save_freq", "0")


@dataclass(frozen=True)
class Cost:
    """time, work: what a step takes, followed to not followed, for each pair of turns: time, and the training's own

    processor time. memory: the follower's peak proportional set size in bytes. processor: its share of one core while
    it follows.
    """

    time: tuple[float, ...]
    work: tuple[float, ...]
    memory: float
    processor: float


@dataclass(frozen=True)
class Turn:
    """Of TURN seconds, from ``began`` on. work: processor time of the training in them, in seconds."""

    followed: bool
    began: float
    work: float


def interval(ratios: tuple[float, ...]) -> tuple[float, float]:
    """Of the median, with 95% confidence."""
    found = bootstrap((ratios,), np.median, method="percentile", rng=np.random.default_rng(0))
    return found.confidence_interval.low, found.confidence_interval.high


def logging_cost(run: Path, dataset: Path, tracking_uri: str, pairs: int) -> Cost:
    """Train into ``run`` for as long as ``pairs`` pairs of turns take; nothing need answer at ``tracking_uri``."""
    turns = []
    memory = busy = 0.0
    with follow_in_background(run, Placement(tracking_uri, leg=run.name), run.name, print_status, patience=20):
        (follower,) = psutil.Process().children()[-1:]
        with _training(run, dataset) as training:
            time.sleep(WARM_UP)
            for followed in itertools.islice(itertools.cycle((False, True, True, False)), 2 * pairs):
                follower.send_signal(signal.SIGCONT if followed else signal.SIGSTOP)
                began, follower_before, training_before = time.time(), _work(follower), _work(training)
                time.sleep(TURN)
                turns.append(Turn(followed, began, _work(training) - training_before))
                busy += _work(follower) - follower_before
                memory = max(memory, follower.memory_full_info().pss)
            follower.send_signal(signal.SIGCONT)
            # The last turn's last step ends after it.
            time.sleep(TURN)
    steps = _steps(run, turns)
    taken = _ratios(turns, [TURN / count for count in steps])
    worked = _ratios(turns, [turn.work / count for turn, count in zip(turns, steps, strict=True)])
    return Cost(taken, worked, memory, busy / (pairs * TURN))


def _work(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


def _ratios(turns: list[Turn], measured: list[float]) -> tuple[float, ...]:
    """Followed to not followed, of each pair of turns."""
    found = []
    for first in range(0, len(turns), 2):
        one, other = measured[first : first + 2]
        found.append(one / other if turns[first].followed else other / one)
    return tuple(found)


@contextmanager
def _training(run: Path, dataset: Path) -> Iterator[psutil.Process]:
    """A training that goes on until ``with`` is left; its first step is done when it is entered."""
    command = [str(python_of("tf2")), "-m", "dualgan", "train", *MODEL, *ENDLESS]
    command += ["--data_dir", str(dataset), "--run_dir", str(run), "--cache_dir", str(dataset.with_name("cache"))]
    process = subprocess.Popen(command, env=trainer_environment({}), stdout=subprocess.DEVNULL)
    try:
        while not (RunFolder(run).events.exists() and any(map(is_training_step, read_events(RunFolder(run).events)))):
            assert process.poll() is None, "the training ended"
            time.sleep(0.5)
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def _steps(run: Path, turns: list[Turn]) -> list[float]:
    """How many steps were done in each turn, with the parts of those that it cuts."""
    times = [event["time"] for event in read_events(RunFolder(run).events) if is_training_step(event)]
    return [
        float(np.diff(np.interp([turn.began, turn.began + TURN], times, np.arange(len(times))))[0]) for turn in turns
    ]
