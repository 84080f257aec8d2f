"""What a user finds in MLflow."""

from pathlib import Path

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from components.tracking.runs import find_experiment, leg_runs, pipeline_runs

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
