"""What a user finds in MLflow, and following a run folder in a thread of the test."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from components.common.threads import in_background
from components.tracking.follower import ENDED, follow
from components.tracking.runs import find_experiment, leg_runs, pipeline_runs
from components.tracking.target import TrackingTarget, write_target

Point = tuple[int, int, float]


def history(client: MlflowClient, run: Run, key: str) -> list[Point]:
    """Every point of a metric: step, timestamp in milliseconds, value."""
    points = client.get_metric_history(run.info.run_id, key)
    return sorted((point.step, point.timestamp, point.value) for point in points)


def images(client: MlflowClient, run: Run) -> list[str]:
    return sorted(Path(file.path).name for file in client.list_artifacts(run.info.run_id, "images"))


def legs(client: MlflowClient, pipeline_run_id: str, experiment: str = "shapes") -> list[Run]:
    experiment_id = find_experiment(client, experiment)
    return leg_runs(client, experiment_id, pipeline_run_id) if experiment_id else []


def parents(client: MlflowClient, pipeline_run_id: str, experiment: str = "shapes") -> list[Run]:
    experiment_id = find_experiment(client, experiment)
    return pipeline_runs(client, experiment_id, pipeline_run_id) if experiment_id else []


def only_leg(client: MlflowClient, pipeline_run_id: str) -> Run:
    (leg,) = legs(client, pipeline_run_id)
    return leg


@contextlib.contextmanager
def following(
    folder: Path, place: TrackingTarget, report: Callable[[str], None], interval: float = 0.1
) -> Iterator[list[bool]]:
    """Do within ``with`` what the follower does; afterwards the list says whether MLflow has everything."""
    write_target(folder, place)
    complete: list[bool] = []

    def work(ended: threading.Event) -> None:
        complete.append(follow(folder, lambda: ENDED if ended.wait(interval) else None, report))

    with in_background("follower", work):
        yield complete
