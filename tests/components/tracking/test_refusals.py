"""A server that refuses: said once with its own reason and what to do, then counted; a later sync sends the rest."""

import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from components.tracking.follower import live_tracking
from components.tracking.placement import Placement
from dualgan.run_folder import RunFolder
from parity.cli import main
from tests.components.tracking.folders import begin, finish, sample, train
from tests.components.tracking.guarded import NO_HOST, NO_LOGIN, Guard, Refusal
from tests.components.tracking.observed import history, images, only_leg

SECONDS = 60.0


def wait_for(condition: "object", what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        (NO_LOGIN, "MLFLOW_TRACKING_TOKEN"),
        (NO_HOST, "--allowed-hosts"),
        (Refusal(403, '{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}'), "write access"),
    ],
)
def test_a_refusal_in_the_middle_is_said_once_then_counted_and_a_sync_completes_the_run(
    tmp_path: Path, server: str, client: MlflowClient, refusal: Refusal, advice: str
) -> None:
    name = f"refused-{refusal.status}-{len(refusal.body)}"
    folder = begin(tmp_path / "run")
    said: list[str] = []
    with Guard(server) as guard:
        place = Placement(guard.address, pipeline_run_id=name, leg="cpu")
        with live_tracking(folder, place, interval=0.02, report=said.append) as tracking:
            train(folder, 1, 10)
            wait_for(lambda: tracking.run_id, "the run did not reach MLflow")
            guard.refusal = refusal
            train(folder, 11, 20)
            wait_for(lambda: tracking.failures >= 3, "no attempt failed")
            sample(folder, 20)
            finish(folder, 20)

        reason, end = said
        assert reason.startswith(f"MLflow tracking: {guard.address}: ") and reason.endswith("; training goes on")
        assert advice in reason and "\n" not in reason
        assert f"(failed attempts: {tracking.failures})" in end and f"parity sync {folder}" in end
        assert not tracking.complete

        guard.refusal = None
        assert main(["sync", str(folder)]) == 0
    run = only_leg(client, name)
    assert [point[0] for point in history(client, run, "loss/A_loss")] == list(range(1, 21))
    assert len(images(client, run)) == 12
    assert run.info.status == "FINISHED"


def test_an_experiment_that_is_deleted_while_training_is_said_once_with_the_way_to_restore_it(
    tmp_path: Path, server: str, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = begin(tmp_path / "run")
    said: list[str] = []
    place = Placement(server, experiment="deleted-meanwhile", pipeline_run_id="deleted-meanwhile", leg="cpu")
    with live_tracking(folder, place, interval=0.02, report=said.append) as tracking:
        train(folder, 1, 10)
        wait_for(lambda: tracking.run_id, "the run did not reach MLflow")
        experiment_id = client.get_experiment_by_name("deleted-meanwhile").experiment_id
        client.delete_experiment(experiment_id)
        train(folder, 11, 20)
        wait_for(lambda: tracking.failures >= 3, "no attempt failed")
        finish(folder, 20)

    reason, _ = said
    assert f"`mlflow experiments restore --experiment-id {experiment_id}`" in reason
    assert main(["sync", str(folder)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "restore" in line

    client.restore_experiment(experiment_id)
    assert main(["sync", str(folder)]) == 0
    run = client.search_runs([experiment_id], "tags.leg = 'cpu'")[0]
    assert [point[0] for point in history(client, run, "loss/A_loss")] == list(range(1, 21))
    assert RunFolder(folder).summary.is_file()
