"""A candidate judged against a recorded reference: an NPU alone, against a GPU of another day."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.compare.bounds import AxisName
from components.compare.judge import DEFAULT, compare, judge
from components.compare.leg import read_leg
from components.compare.references import load_reference
from components.compare.verdict import Comparison, Verdict
from components.tracking.comparison_view import log_comparison
from components.tracking.runs import PipelineRun
from components.tracking.store import connect, store_uri
from components.tracking.sync import RunFolderSync
from components.tracking.target import TrackingTarget
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import RunFolder, read_json, write_json
from parity.cli import main
from tests.components.run_folders import write_leg
from tests.components.tracking.conftest import database, no_tracking_variables, store

__all__ = ["database", "no_tracking_variables", "store"]

FUNCTION, ARITHMETIC, TRAINING, IMAGES, PERFORMANCE = AxisName


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference recorded from three seeds of a sound leg."""
    folder = tmp_path_factory.mktemp("recorded")
    leg = write_leg("gpu", folder / "gpu", noise=1)
    file = folder / "gpu.json"
    runs = [str(source.run) for source in leg.sources]
    assert main(["compare", "record", *runs, "--name", "gpu-of-may", "--source", "a test", "--output", str(file)]) == 0
    return file


def against(reference: Path, folder: Path, **candidate: Any) -> Comparison:
    leg = write_leg("npu", folder / "npu", noise=2, **candidate)
    return judge(load_reference(str(reference)), [read_leg(leg)], DEFAULT)


def test_a_record_says_what_was_measured_on_what_how_often(recorded: Path) -> None:
    content = read_json(recorded)
    assert (content["name"], content["source"], content["date"]) == ("gpu-of-may", "a test", "2023-11-14")
    assert content["hardware"] == "TensorFlow 2.21.0 on a CPU (Example CPU)"
    loss = content["measurements"]["final_A_loss"]
    assert (loss["repeats"], len(loss["values"]), loss["certainty"]) == (3, 3, "measured")
    assert "mean over the last tenth" in loss["definition"] and "absolute difference" in loss["unit"]


def verdicts(comparison: Comparison) -> dict[AxisName, Verdict]:
    return {name: axis.verdict for name, axis in comparison.axes.items()}


def test_an_equal_leg_passes_against_a_record_which_the_report_shows(recorded: Path, tmp_path: Path) -> None:
    leg = write_leg("npu", tmp_path / "npu", noise=2)
    comparison = compare([leg], None, tmp_path / "output", recorded=load_reference(str(recorded)))
    assert verdicts(comparison) == {**dict.fromkeys(AxisName, Verdict.PASS), ARITHMETIC: Verdict.NOT_MEASURED}
    assert (comparison.verdict, comparison.reference) == (Verdict.PASS, "gpu-of-may")
    page, tables = ((tmp_path / "output" / name).read_text() for name in ("report.html", "report.md"))
    assert "gpu-of-may: a recorded reference" in page
    assert "| | gpu-of-may | npu |" in tables


@pytest.mark.parametrize(
    ("candidate", "axis"),
    [
        ({"loss_factor": 1.4}, TRAINING),
        ({"loss_factor": 0.7}, TRAINING),
        ({"blur": 1.0}, IMAGES),
        ({"sec_per_step": 0.25}, PERFORMANCE),
    ],
)
def test_a_broken_leg_fails_against_a_record(
    recorded: Path, tmp_path: Path, candidate: dict[str, Any], axis: AxisName
) -> None:
    comparison = against(recorded, tmp_path, **candidate)
    assert [name for name, found in verdicts(comparison).items() if found is Verdict.FAIL] == [axis]


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        ({"digest": "b" * 64}, "it is of other data (shapes aaaaaaaaaaaa, not shapes bbbbbbbbbbbb)"),
        ({"options": {"lr": 1e-4}}, "it is of other options: lr 5e-05, not 0.0001"),
    ],
)
def test_a_leg_that_did_another_job_is_not_judged_by_the_record(
    recorded: Path, tmp_path: Path, candidate: dict[str, Any], words: str
) -> None:
    comparison = against(recorded, tmp_path, **candidate)
    for name in (TRAINING, IMAGES, PERFORMANCE):
        assert comparison.axes[name].verdict is Verdict.NOT_MEASURED
        assert words in comparison.axes[name].reason
    assert comparison.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unit": "ms"}, "sec_per_step is in 'ms', not in 's'"),
        ({"definition": "time of ten steps"}, "sec_per_step is of another definition ('time of ten steps'"),
    ],
)
def test_a_number_of_another_unit_or_definition_is_not_measured(
    recorded: Path, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    content = read_json(recorded)
    content["measurements"]["sec_per_step"] |= changes
    write_json(tmp_path / "changed.json", content)
    comparison = against(tmp_path / "changed.json", tmp_path)
    assert comparison.axes[PERFORMANCE].verdict is Verdict.NOT_MEASURED
    assert words in comparison.axes[PERFORMANCE].reason
    assert comparison.axes[TRAINING].verdict is Verdict.PASS


def of_sketch_photo(folder: Path, loss_factor: float) -> Comparison:
    """What was published against a leg that did the same job."""
    options = {"image_size": 256, "gcn": 64, "dcn": 64, "GAN_type": "wgan-gp", "loss_metric": "L1"}
    options |= {"lambda_A": 1000.0, "lambda_B": 1000.0}
    leg = write_leg("npu", folder / "npu", noise=2, options=options, loss_factor=loss_factor)
    for source in leg.sources:
        file = RunFolder(source.run).options
        file.write_text(file.read_text().replace('"name": "shapes"', '"name": "sketch-photo"'))
    return judge(load_reference("published"), [read_leg(leg)], DEFAULT)


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(0.5, Verdict.PASS), (0.2, Verdict.PASS), (0.7, Verdict.FAIL), (0.605, Verdict.INCONCLUSIVE)],
)
def test_a_loss_is_judged_by_the_published_one_where_lower_is_no_fault(
    tmp_path: Path, factor: float, verdict: Verdict
) -> None:
    axes = of_sketch_photo(tmp_path, factor).axes
    assert axes[TRAINING].verdict is verdict, axes[TRAINING].reason
    assert "What published means by min_loss is inferred, not stated." in axes[TRAINING].reason
    assert axes[PERFORMANCE].verdict is Verdict.NOT_MEASURED
    assert "time of ten updates" in axes[PERFORMANCE].reason


def test_what_was_published_is_no_reference_for_another_dataset(tmp_path: Path) -> None:
    comparison = against(Path("published"), tmp_path)
    assert "it is of other data (sketch-photo, not shapes)" in comparison.axes[TRAINING].reason


def of_min_loss(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["measurements"]["min_loss"].update(changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.pop("hardware"), "hardware: Field required"),
        (lambda content: content.update(colour="red"), "colour: Extra inputs are not permitted"),
        (of_min_loss(value=-1), "min_loss.value: Input should be greater"),
        (of_min_loss(value=float("nan")), "min_loss.value: Input should be"),
        (of_min_loss(repeats=2), "3 values for 2 repeats"),
        (lambda content: content.update(schema_version=9), "schema_version: Input should be 1"),
    ],
)
def test_a_file_that_is_no_record_is_refused_by_its_first_fault(
    recorded: Path, tmp_path: Path, change: Any, words: str
) -> None:
    content = read_json(recorded)
    change(content)
    (tmp_path / "record.json").write_text(json.dumps(content))
    with pytest.raises(BadInput) as refusal:
        load_reference(str(tmp_path / "record.json"))
    assert words in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_leg_that_did_not_finish_is_not_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leg = write_leg("gpu", tmp_path / "gpu", seeds=[0], summary={"status": "failed"})
    assert main(["compare", "record", str(leg.sources[0].run), "--output", str(tmp_path / "r.json")]) == 2
    assert "did not finish" in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()


def test_a_run_in_mlflow_is_a_reference_for_what_its_summary_holds(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri(store))
    leg = write_leg("gpu", tmp_path / "gpu", seeds=[0], device="gpu", device_name="Example GPU")
    sync = RunFolderSync(
        leg.sources[0].run, TrackingTarget(store_uri(store), pipeline_run_id="then", leg="gpu", role="reference")
    )
    sync.step()
    recorded = load_reference(f"mlflow:{sync.run_id}")
    assert recorded.hardware == "TensorFlow 2.21.0 on Example GPU"
    assert set(recorded.measurements) == {"min_loss", "final_A_loss", "final_B_loss", "sec_per_step"}

    found = verdicts(judge(recorded, [read_leg(write_leg("npu", tmp_path / "npu", noise=2))], DEFAULT))
    assert (found[TRAINING], found[PERFORMANCE], found[IMAGES]) == (Verdict.PASS, Verdict.PASS, Verdict.NOT_MEASURED)


def test_a_run_that_is_not_there_is_named_with_its_server(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri(store))
    with pytest.raises(BadInput, match=r"reference mlflow:0123: sqlite:.* has no such run"):
        load_reference("mlflow:0123")


def test_a_server_that_does_not_answer_is_named_without_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(DualGANError) as failure:
        load_reference("mlflow:0123")
    assert "reference mlflow:0123: http://127.0.0.1:9: no answer" in str(failure.value)
    assert "secret" not in str(failure.value) and "someone" not in str(failure.value)


def test_of_two_candidates_of_one_pipeline_run_the_worse_one_is_the_verdict_in_mlflow(
    recorded: Path, store: Path, tmp_path: Path
) -> None:
    client, outputs = connect(store_uri(store)), {}
    for factor in (1.0, 1.4):
        name = f"npu-{factor}"
        leg = write_leg(name, tmp_path / name, noise=2, loss_factor=factor)
        outputs[factor] = tmp_path / f"{name}-output"
        compare([leg], None, outputs[factor], recorded=load_reference(str(recorded)))
    for order in ((1.0, 1.4), (1.4, 1.0)):
        run_ids = [log_comparison(client, PipelineRun("shapes", f"two-{order[0]}"), outputs[one]) for one in order]
        tags = client.get_run(run_ids[-1]).data.tags
        assert tags["verdict"] == "fail"
        assert (tags["candidate.npu-1.0"], tags["candidate.npu-1.4"]) == ("pass", "fail")
