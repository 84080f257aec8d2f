"""How a run on this machine ends: with its verdict, whatever becomes of the model, or with its task's own words."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import ImageNotFound

from components.common.processes import Stopped, Terminated
from components.compare.verdict import Verdict
from dualgan.errors import BadInput, DualGANError
from dualgan.options import parsed_options
from dualgan.run_folder import read_json, write_json
from pipelines import local_run, run_state
from pipelines.local_run import resume, run
from pipelines.profile import load_profile
from pipelines.run_state import RunState

FAILURE = DualGANError("http://mlflow:5000: no answer (Connection refused); start the server")
MODEL = {"name": "dualgan-faces", "version": "7", "aliases": ["challenger", "champion"]}

Execute = Callable[[Path], DualGANError | None]


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """after(tasks): the result of a run whose tasks leave what the function writes; after(tasks, name) resumes one."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # Nothing was tracked, so there is nothing to end.
    monkeypatch.setattr("components.tracking.sync.end_interrupted", lambda _: None)

    def after(tasks: Execute, resumed: str | None = None, **parameters: Any) -> Any:
        monkeypatch.setattr(local_run, "_execute", lambda folder, *_: tasks(folder / "tasks"))
        if resumed is not None:
            return resume(resumed, load_profile("local"), parameters, root=tmp_path)
        return run(load_profile("local"), parameters, tmp_path)

    return after


def compared(folder: Path) -> None:
    comparison = folder / "compare-cpu-tf2-with-cpu-tf1" / "comparison"
    comparison.mkdir(parents=True)
    content = {"verdict": "pass", "reason": "cpu-tf2 passes.", "candidates": ["cpu-tf2"]}
    write_json(comparison / "comparison.json", content)


def published(folder: Path) -> None:
    compared(folder)
    (folder / "publish-cpu-tf2").mkdir()
    write_json(folder / "publish-cpu-tf2" / "registered", MODEL)


def failed_to_publish(folder: Path) -> DualGANError:
    compared(folder)
    (folder / "train-cpu-tf2-seed-0").mkdir()
    return FAILURE


def failed_to_compare(_: Path) -> DualGANError:
    raise FAILURE


def stopped_by(signum: int) -> Execute:
    def stopped(folder: Path) -> DualGANError:
        raise Terminated(signum)

    return stopped


def test_the_registered_model_is_named_with_its_aliases(after: Callable[..., Any]) -> None:
    assert after(published).model == "dualgan-faces version 7, challenger and champion"


def test_a_model_that_could_not_be_published_leaves_the_verdict_and_is_said_with_the_way_to_do_it_later(
    after: Callable[..., Any],
) -> None:
    done = after(failed_to_publish)
    assert done.verdict is Verdict.PASS
    assert done.model.startswith(f"not registered: {FAILURE}; `parity publish ")
    assert "/train-cpu-tf2-seed-0/records " in done.model
    assert done.model.endswith("/train-cpu-tf2-seed-0/model` does it later")


def test_any_other_task_that_fails_ends_the_run_and_names_the_log(after: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(DualGANError, match=r"no answer.*; start the server \(all of it: .*log\.txt\)"):
        after(failed_to_compare)


@pytest.mark.parametrize("trained", [None, "summary.json", "checkpoint/step-000010/model.index"])
def test_bad_input_leaves_nothing_but_what_was_trained_before(
    after: Callable[..., Any], tmp_path: Path, trained: str | None
) -> None:
    def refused(folder: Path) -> DualGANError:
        (folder / "dataset").mkdir(parents=True)
        if trained:
            file = folder / "train-a-seed-0" / "records" / trained
            file.parent.mkdir(parents=True)
            file.touch()
        raise BadInput("1.png: no image")

    with pytest.raises(BadInput, match=r"1\.png: no image"):
        after(refused)
    assert bool(list(tmp_path.glob("runs/*/tasks/train-*"))) == bool(trained)
    assert trained or not list(tmp_path.glob("*"))


@pytest.mark.parametrize(
    ("given", "recorded"),
    [({"init-from": "old/model-7"}, "{here}/old/model-7"), ({"init_from": "s3://team/model-7"}, "s3://team/model-7")],
)
def test_a_run_records_paths_as_they_mean_the_same_in_any_folder_and_container(
    after: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: dict[str, str], recorded: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces" / "train").mkdir(parents=True)
    done = after(published, options=given, dataset="faces", tracking_uri="sqlite:///store/runs.db")
    state = run_state.checked_state(done.folder)
    assert parsed_options(state.parameters.options)["init_from"] == recorded.format(here=tmp_path)
    assert state.parameters.dataset == str(tmp_path / "faces")
    assert state.tracking_uri == f"sqlite:///{tmp_path}/store/runs.db"


@pytest.mark.parametrize("source", ["http://me:secret@127.0.0.1:9/ok.zip", "http://127.0.0.1:9/ok.zip?token=secret"])
def test_a_dataset_with_a_secret_in_its_address_is_refused_before_anything_is_written(
    tmp_path: Path, source: str
) -> None:
    with pytest.raises(BadInput, match="DUALGAN_DATASET_LOGIN=USER:PASSWORD") as error:
        run(load_profile("local"), {"dataset": source}, tmp_path)
    assert "secret@" not in str(error.value) and "=secret" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_runs_of_the_same_second_have_folders_of_their_own(
    after: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.strftime", lambda _: "2026-11-27-120000")
    names = [after(published).folder.name for _ in range(3)]
    assert names == ["2026-11-27-120000", "2026-11-27-120000-2", "2026-11-27-120000-3"]


@pytest.mark.parametrize(
    ("signum", "code", "who"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM"), (1, 129, "SIGHUP")]
)
def test_a_run_that_a_signal_ends_says_how_to_go_on_with_it(
    after: Callable[..., Any], tmp_path: Path, signum: int, code: int, who: str
) -> None:
    with pytest.raises(Stopped) as stop:
        after(stopped_by(signum))
    (folder,) = (tmp_path / "runs").iterdir()
    assert stop.value.exit_code == code
    assert str(stop.value).startswith(f"stopped by {who}; `parity run --resume {folder.name}` goes on with ")


def test_the_newest_unfinished_run_of_the_same_is_gone_on_with(after: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        after(stopped_by(signal.SIGTERM), options={"max_steps": 7})
    (begun,) = (tmp_path / "runs").iterdir()
    with pytest.raises(BadInput, match="--resume: no unfinished run of this profile, dataset and options"):
        after(published, "", options={"max_steps": 8})
    done = after(published, "", options={"max_steps": 7})
    assert done.folder == begun and done.verdict is Verdict.PASS
    with pytest.raises(BadInput, match="--resume: no unfinished run"):
        after(published, "", options={"max_steps": 7})


def test_a_run_that_is_named_keeps_its_profile_and_takes_further_seeds(
    after: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = after(published, options={"max_steps": 7}).folder
    seen: list[RunState] = []
    monkeypatch.setattr(local_run, "_execute", lambda _, state: seen.append(state))
    resume(folder.name, load_profile("local"), {}, (None, 5), tmp_path)
    (state,) = seen
    assert state.profile.seeds == (0, 1, 2, 3, 4) and state.parameters.options == {"max_steps": 7}
    with pytest.raises(BadInput, match="--resume nothing: no run that can be gone on with"):
        resume("nothing", load_profile("local"), {}, root=tmp_path)


def test_a_run_that_is_gone_on_with_needs_its_images_before_anything_changes(
    after: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = after(published).folder
    before = (folder / "run.json").read_bytes()

    def get(image: str) -> None:
        raise ImageNotFound(image)

    engine = SimpleNamespace(images=SimpleNamespace(get=get))
    monkeypatch.setattr("pipelines.containers.connect_to_engine", lambda: engine)
    with pytest.raises(BadInput, match=r"image dualgan-parity/.*: not on this machine"):
        resume(folder.name, load_profile("local"), {}, root=tmp_path, runner="docker")
    assert (folder / "run.json").read_bytes() == before


def test_a_run_that_another_process_is_at_is_left_to_it(after: Callable[..., Any], tmp_path: Path) -> None:
    folder = after(published).folder
    with run_state.held(folder), pytest.raises(BadInput, match="another process is at this run"):
        after(published, folder.name)


def killed(folder: Path, **changes: str) -> Path:
    """Have the run of ``folder`` say that it goes on."""
    state = run_state.checked_state(folder)
    run_state.write_state(folder, state.model_copy(update={"state": "running", **changes}))
    return folder


def test_the_next_run_ends_in_mlflow_what_a_killed_one_left_open_as_soon_as_mlflow_answers(
    after: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Path] = []

    def unless_away(folder: Path) -> None:
        ended.append(folder)
        if len(ended) == 1:
            raise ConnectionError("away")

    monkeypatch.setattr("components.tracking.sync.end_interrupted", unless_away)
    one, going_on = (after(published).folder for _ in range(2))
    for folder in (one, going_on):
        killed(folder, tracking_uri="http://mlflow")
    with run_state.held(going_on):
        for tries, state in ((1, "running"), (2, "interrupted")):
            after(published)
            assert ended == [one] * tries and read_json(one / "run.json")["state"] == state
    assert read_json(going_on / "run.json")["state"] == "running"


def test_a_training_that_is_synced_ends_the_killed_run_that_it_is_of(after: Callable[..., Any]) -> None:
    folder = killed(after(published).folder)
    records = folder / "tasks" / "train-cpu-tf2-seed-0" / "records"
    with run_state.held(folder):
        local_run.end_abandoned_around(records)
    assert read_json(folder / "run.json")["state"] == "running"
    local_run.end_abandoned_around(records)
    assert read_json(folder / "run.json")["state"] == "interrupted"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"runner": "podman"}, "runner: "),
        ({"parameters": {"dataset": "a", "speed": 1}}, "parameters.speed: Extra inputs are not permitted"),
        ({"parameters": {"dataset": "a", "options": "fast"}}, "parameters.options: Input should be a valid dictionary"),
        ({"tracking_uri": "http://mlflow/\x1b[31m"}, "tracking_uri: "),
    ],
)
def test_a_record_of_a_run_that_is_damaged_is_named(
    after: Callable[..., Any], wrong: dict[str, object], named: str
) -> None:
    folder = after(published).folder
    write_json(folder / "run.json", read_json(folder / "run.json") | wrong)
    with pytest.raises(BadInput) as caught:
        after(published, folder.name)
    assert str(caught.value).startswith(f"{folder}/run.json: no record of a run ({named}")


@pytest.mark.parametrize("name", ["events.jsonl", "log.txt"])
def test_a_fifo_in_place_of_a_run_s_file_is_not_waited_for(after: Callable[..., Any], name: str) -> None:
    folder = after(published).folder
    os.mkfifo(folder / name)
    with pytest.raises(BadInput, match=f"{name}: not a regular file"):
        after(published, folder.name)
