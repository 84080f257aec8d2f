"""How a run on this machine ends: with its verdict, whatever becomes of the model."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import TransferBroken
from components.compare.verdict import Verdict
from dualgan.errors import BadInput, DualGANError, Interrupted
from dualgan.run_folder import write_json
from pipelines.local_run import Runner, Show, run
from pipelines.profile import Profile, load_profile

REASON = "http://mlflow:5000: no answer (Connection refused); start the server or correct the tracking URI"
ERROR = f"dualgan.errors.DualGANError: {REASON}\n"
MODEL = {"name": "dualgan-faces", "version": "7", "aliases": ["challenger", "champion"]}

Tasks = Callable[[Path, Show], None]


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Tasks], Any]:
    """The result of a run whose tasks left behind what the function writes."""

    def after(tasks: Tasks) -> Any:
        def execute(profile: Profile, parameters: Mapping[str, Any], folder: Path, shown: Show, runner: Runner) -> None:
            tasks(folder / "parity-1", shown)

        monkeypatch.setattr("pipelines.local_run._execute", execute)
        return run(load_profile("local"), {}, tmp_path)

    return after


def compared(folder: Path, shown: Show) -> None:
    comparison = folder / "compare-cpu-tf2-with-cpu-tf1" / "comparison"
    comparison.mkdir(parents=True)
    content = {"verdict": "pass", "reason": "cpu-tf2 passes.", "candidates": ["cpu-tf2"]}
    write_json(comparison / "comparison.json", content)


def published(folder: Path, shown: Show) -> None:
    compared(folder, shown)
    (folder / "publish-cpu-tf2").mkdir()
    write_json(folder / "publish-cpu-tf2" / "registered", MODEL)


def failed_to_publish(folder: Path, shown: Show) -> None:
    compared(folder, shown)
    (folder / "publish-cpu-tf2").mkdir()
    (folder / "train-cpu-tf2-seed-0").mkdir()
    shown.write(ERROR)


def failed_to_compare(folder: Path, shown: Show) -> None:
    (folder / "compare-cpu-tf2-with-cpu-tf1").mkdir(parents=True)
    shown.write(ERROR)


def test_the_registered_model_is_named_with_its_aliases(after: Callable[[Tasks], Any]) -> None:
    assert after(published).model == "dualgan-faces version 7, challenger and champion"


def test_a_model_that_could_not_be_published_leaves_the_verdict_and_is_said_with_the_way_to_do_it_later(
    after: Callable[[Tasks], Any],
) -> None:
    done = after(failed_to_publish)
    assert done.verdict is Verdict.PASS
    assert done.model.startswith(f"not registered: {REASON}; `parity publish ")
    assert "/train-cpu-tf2-seed-0/records " in done.model
    assert done.model.endswith("/train-cpu-tf2-seed-0/model` does it later")


@pytest.mark.parametrize("kind", [BadInput, DualGANError, Interrupted, TransferBroken])
def test_the_reason_of_each_of_our_errors_is_found_in_kfps_log(kind: type[DualGANError]) -> None:
    shown = Show(io.StringIO(), io.StringIO())
    shown.write(f"{kind.__module__}.{kind.__name__}: the disk is full\n")
    assert shown.errors == [(kind.__name__, "the disk is full")]


def test_any_other_task_that_fails_ends_the_run(after: Callable[[Tasks], Any]) -> None:
    with pytest.raises(DualGANError, match="no answer"):
        after(failed_to_compare)
