"""What following a run costs its training: one training whose follower is stopped, and goes on, in turns.

Two trainings of the same length differ by more than logging costs, whatever they do; turns of ten seconds within one
meet the same machine. A follower that goes on sends at once, and then every five seconds as always. Images have the
reference's size, the networks a quarter of its filters: a step of the reference takes longer, and has as much to send.
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

from components.look.progress import say
from components.tracking.live import follow_in_background
from components.tracking.placement import Placement
from components.train.runtimes import python_of, trainer_environment
from dualgan.run_folder import RunFolder, is_training_step, read_events

MODEL = ("--image_size", "256", "--gcn", "16", "--dcn", "16")
TURN = 10.0
# Seconds of training before the first turn.
WARM_UP = 20.0
ENDLESS = ("--train_epochs", "1000000", "--sample_freq", "0", "--save_freq", "0")


@dataclass(frozen=True)
class Cost:
    """ratios: of a step's time, followed to not followed, one for each pair of turns. memory: the follower's peak

    proportional set size in bytes. processor: its share of one core while it follows.
    """

    ratios: tuple[float, ...]
    memory: float
    processor: float

    @property
    def median(self) -> float:
        return float(np.median(self.ratios))

    @property
    def interval(self) -> tuple[float, float]:
        """Of the median, with 95% confidence."""
        found = bootstrap((self.ratios,), np.median, method="percentile", rng=np.random.default_rng(0))
        return found.confidence_interval.low, found.confidence_interval.high


def logging_cost(run: Path, dataset: Path, tracking_uri: str, pairs: int) -> Cost:
    """Train into ``run`` for as long as ``pairs`` pairs of turns take; nothing need answer at ``tracking_uri``."""
    turns: list[tuple[bool, float]] = []
    memory = busy = 0.0
    with follow_in_background(run, Placement(tracking_uri, leg=run.name), run.name, say, patience=20):
        (follower,) = psutil.Process().children()[-1:]
        with _training(run, dataset):
            time.sleep(WARM_UP)
            for followed in itertools.islice(itertools.cycle((False, True, True, False)), 2 * pairs):
                follower.send_signal(signal.SIGCONT if followed else signal.SIGSTOP)
                turns.append((followed, time.time()))
                before = sum(follower.cpu_times()[:2])
                time.sleep(TURN)
                busy += sum(follower.cpu_times()[:2]) - before
                memory = max(memory, follower.memory_full_info().pss)
            follower.send_signal(signal.SIGCONT)
    seconds = _seconds_per_step(run, [began for _, began in turns])
    ratios = []
    for first in range(0, len(turns), 2):
        one, other = seconds[first : first + 2]
        ratios.append(one / other if turns[first][0] else other / one)
    return Cost(tuple(ratios), memory, busy / (pairs * TURN))


@contextmanager
def _training(run: Path, dataset: Path) -> Iterator[None]:
    """A training that goes on until ``with`` is left; its first step is done when it is entered."""
    command = [str(python_of("tf2")), "-m", "dualgan", "train", *MODEL, *ENDLESS]
    command += ["--data_dir", str(dataset), "--run_dir", str(run), "--cache_dir", str(dataset.with_name("cache"))]
    process = subprocess.Popen(command, env=trainer_environment({}), stdout=subprocess.DEVNULL)
    try:
        while not (RunFolder(run).events.exists() and any(map(is_training_step, read_events(RunFolder(run).events)))):
            assert process.poll() is None, "the training ended"
            time.sleep(0.5)
        yield
    finally:
        process.kill()
        process.wait()


def _seconds_per_step(run: Path, turns: list[float]) -> list[float]:
    """Wall time a step in each turn, by when it began."""
    times = np.array([event["time"] for event in read_events(RunFolder(run).events) if is_training_step(event)])
    found = []
    for began in turns:
        within = times[(times >= began) & (times <= began + TURN)]
        found.append(float(within[-1] - within[0]) / (len(within) - 1))
    return found
