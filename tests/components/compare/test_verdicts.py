"""What compare() says of legs that are equal, and of legs that are broken in one way."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from components.compare.bounds import Bounds
from components.compare.compare import DEFAULT, compare, judge
from components.compare.comparison import Comparison
from components.compare.leg import Leg, read_leg
from components.compare.verdict import Axis, AxisName, Verdict
from dualgan.run_folder import RunFolder, sample_path
from tests.components.run_folders import loss_table, write_events, write_run

FUNCTION, PRECISION, IMAGES, PERFORMANCE = AxisName


def compare_with(folder: Path, candidate: Path, bounds: Bounds = DEFAULT) -> Comparison:
    """The comparison of ``candidate`` with a sound reference."""
    reference = read_leg(Leg("gpu", write_run(folder / "reference", noise=1)))
    return judge(reference, [read_leg(Leg("npu", candidate))], bounds)


def judged(folder: Path, **candidate: Any) -> Comparison:
    return compare_with(folder, write_run(folder / "candidate", **{"noise": 2, **candidate}))


def number(axis: Axis, name: str) -> float:
    value = axis.numbers["npu"][name]
    assert isinstance(value, float)
    return value


def test_two_equal_legs_pass_on_every_axis(tmp_path: Path) -> None:
    comparison = judged(tmp_path)
    assert {axis.verdict for axis in comparison.axes.values()} == {Verdict.PASS}
    assert comparison.verdict is Verdict.PASS


def test_a_pass_on_precision_says_that_one_run_is_weak_evidence(tmp_path: Path) -> None:
    assert "weak evidence" in judged(tmp_path).axes[PRECISION].reason


def test_higher_losses_fail_precision_alone(tmp_path: Path) -> None:
    comparison = judged(tmp_path, loss_factor=1.3)
    assert comparison.axes[PRECISION].verdict is Verdict.FAIL
    assert number(comparison.axes[PRECISION], "min_loss_ratio") == pytest.approx(1.3, rel=0.03)
    assert number(comparison.axes[PRECISION], "final_B_loss_ratio") == pytest.approx(1.3, rel=0.03)
    assert comparison.axes[IMAGES].verdict is Verdict.PASS
    assert comparison.verdict is Verdict.FAIL


def test_a_final_loss_that_is_too_high_fails_though_the_lowest_one_is_equal(tmp_path: Path) -> None:
    candidate = write_run(tmp_path / "candidate", noise=2)
    summary = json.loads(RunFolder(candidate).summary.read_text())
    summary["final_loss"]["B_loss"] *= 1.5
    RunFolder(candidate).summary.write_text(json.dumps(summary))
    axis = compare_with(tmp_path, candidate).axes[PRECISION]
    assert axis.verdict is Verdict.FAIL
    assert "final B_loss" in axis.reason
    assert "min loss" not in axis.reason


def test_the_published_pair_of_losses_lies_within_the_bound(tmp_path: Path) -> None:
    def published(name: str, loss: float) -> Leg:
        final = {"A_loss": loss, "B_loss": loss, "window": 6}
        return Leg(name, write_run(tmp_path / name, summary={"min_loss": loss, "final_loss": final}))

    comparison = compare([published("gpu", 0.026), published("npu", 0.030)], "gpu", tmp_path / "output")
    assert comparison.axes[PRECISION].verdict is Verdict.PASS


def test_blurred_pictures_fail_images_though_the_losses_are_equal(tmp_path: Path) -> None:
    comparison = judged(tmp_path, blur=1.0)
    assert comparison.axes[PRECISION].verdict is Verdict.PASS
    assert comparison.axes[IMAGES].verdict is Verdict.FAIL
    assert "sharpness" in comparison.axes[IMAGES].reason
    assert number(comparison.axes[IMAGES], "A2B_sharpness_ratio") < 0.7


def test_a_larger_reconstruction_error_of_validation_images_fails_images(tmp_path: Path) -> None:
    axis = judged(tmp_path, rebuilding_error=12.0).axes[IMAGES]
    assert axis.verdict is Verdict.FAIL
    assert number(axis, "B2A2B_error_ratio") > 1.5
    assert "B2A2B error" in axis.reason


def test_reconstruction_errors_are_in_the_units_of_the_losses(tmp_path: Path) -> None:
    error = number(judged(tmp_path, rebuilding_error=8.0).axes[IMAGES], "B2A2B_error_candidate")
    assert error == pytest.approx(8.0 / 127.5, rel=0.1)


def test_equal_pictures_have_no_finite_psnr_between_legs(tmp_path: Path) -> None:
    comparison = judged(tmp_path, noise=1)
    assert comparison.axes[IMAGES].numbers["npu"]["A2B2A_psnr_db"] is None
    assert math.isfinite(number(judged(tmp_path / "other", noise=2).axes[IMAGES], "A2B2A_psnr_db"))


def test_a_reference_that_draws_flat_pictures_leaves_images_inconclusive(tmp_path: Path) -> None:
    candidate = write_run(tmp_path / "candidate", noise=2)
    reference = write_run(tmp_path / "reference", noise=1)
    for image in ("val-001", "val-002"):
        flat = sample_path(RunFolder(reference).samples_of(60), image, "A2B")
        Image.new("RGB", (64, 64), "grey").save(flat)
    comparison = compare([Leg("gpu", reference), Leg("npu", candidate)], "gpu", tmp_path / "output")
    assert comparison.axes[IMAGES].verdict is Verdict.INCONCLUSIVE
    assert comparison.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("seconds", "level", "verdict"),
    [
        (0.08, "PERFECT", Verdict.PASS),
        (0.1, "OK", Verdict.PASS),
        (0.19, "POK", Verdict.PASS),
        (0.21, "NOK", Verdict.FAIL),
    ],
)
def test_speed_gets_the_class_that_modelzoo_gives_it(
    tmp_path: Path, seconds: float, level: str, verdict: Verdict
) -> None:
    axis = judged(tmp_path, sec_per_step=seconds).axes[PERFORMANCE]
    assert (axis.numbers["npu"]["modelzoo_class"], axis.verdict) == (level, verdict)
    assert number(axis, "speed_ratio") == pytest.approx(0.1 / seconds)


def test_speed_that_was_not_measured_does_not_stop_a_pass(tmp_path: Path) -> None:
    comparison = judged(tmp_path, sec_per_step=None)
    assert comparison.axes[PERFORMANCE].verdict is Verdict.NOT_MEASURED
    assert "npu measured no sec/step" in comparison.axes[PERFORMANCE].reason
    assert comparison.verdict is Verdict.PASS


def test_losses_that_were_not_measured_leave_the_comparison_inconclusive(tmp_path: Path) -> None:
    comparison = judged(tmp_path, summary={"final_loss": None})
    assert comparison.axes[PRECISION].verdict is Verdict.NOT_MEASURED
    assert comparison.verdict is Verdict.INCONCLUSIVE


def test_final_losses_over_windows_of_other_lengths_are_not_compared(tmp_path: Path) -> None:
    axis = judged(tmp_path, summary={"final_loss": {"A_loss": 0.05, "B_loss": 0.05, "window": 3}}).axes[PRECISION]
    assert axis.verdict is Verdict.NOT_MEASURED
    assert "6 steps of gpu" in axis.reason


@pytest.mark.parametrize(
    ("summary", "why"),
    [
        (None, "no summary.json"),
        ({"status": "failed", "reason": "out of memory"}, "failed (out of memory)"),
        ({"status": "interrupted"}, "interrupted"),
    ],
)
def test_a_leg_that_did_not_finish_fails_and_nothing_else_is_measured(
    tmp_path: Path, summary: dict[str, str] | None, why: str
) -> None:
    comparison = judged(tmp_path, summary=summary)
    assert comparison.axes[FUNCTION].verdict is Verdict.FAIL
    assert why in comparison.axes[FUNCTION].reason
    others = [axis for name, axis in comparison.axes.items() if name is not FUNCTION]
    assert {axis.verdict for axis in others} == {Verdict.NOT_MEASURED}
    assert all("npu did not finish" in axis.reason for axis in others)


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_loss_that_is_not_finite_fails_and_is_not_averaged_away(tmp_path: Path, value: float | None) -> None:
    candidate = write_run(tmp_path / "candidate", noise=2)
    losses: list[dict[str, Any]] = [dict(step) for step in loss_table(60, noise=2)]
    losses[29]["d_loss"] = value
    write_events(RunFolder(candidate).events, losses)
    comparison = compare_with(tmp_path, candidate)
    assert comparison.axes[FUNCTION].verdict is Verdict.FAIL
    assert "d_loss at step 30" in comparison.axes[FUNCTION].reason
    assert comparison.axes[PRECISION].verdict is Verdict.NOT_MEASURED


def test_a_missing_kind_of_sample_fails_function(tmp_path: Path) -> None:
    candidate = write_run(tmp_path / "candidate", noise=2)
    for path in RunFolder(candidate).samples_of(60).glob("*-B2A2B.png"):
        path.unlink()
    comparison = compare_with(tmp_path, candidate)
    assert comparison.axes[FUNCTION].verdict is Verdict.FAIL
    assert "npu has no sample picture B2A2B" in comparison.axes[FUNCTION].reason
    assert comparison.axes[IMAGES].verdict is Verdict.NOT_MEASURED


def test_options_that_differ_fail_function_and_are_named_with_both_values(tmp_path: Path) -> None:
    comparison = judged(tmp_path, options={"lr": 1e-4})
    assert comparison.axes[FUNCTION].verdict is Verdict.FAIL
    assert "option lr is 5e-05 in gpu and 0.0001 in npu" in comparison.axes[FUNCTION].reason
    (difference,) = comparison.differing_options
    assert difference.values == {"gpu": "5e-05", "npu": "0.0001"}


def test_an_option_that_one_leg_lacks_is_a_difference(tmp_path: Path) -> None:
    assert (
        "option flip is absent in gpu and true in npu" in judged(tmp_path, options={"flip": True}).axes[FUNCTION].reason
    )


def test_options_of_a_legs_own_may_differ(tmp_path: Path) -> None:
    comparison = judged(tmp_path, device="npu", options={"threads": 16, "run_dir": "/elsewhere"})
    assert comparison.axes[FUNCTION].verdict is Verdict.PASS


def test_another_dataset_fails_function_and_losses_and_pictures_are_not_compared(tmp_path: Path) -> None:
    comparison = judged(tmp_path, digest="b" * 64)
    assert comparison.axes[FUNCTION].verdict is Verdict.FAIL
    assert "datasets differ" in comparison.axes[FUNCTION].reason
    assert comparison.axes[PRECISION].verdict is Verdict.NOT_MEASURED
    assert comparison.axes[IMAGES].verdict is Verdict.NOT_MEASURED


def test_swapped_colour_channels_of_the_inputs_are_seen(tmp_path: Path) -> None:
    candidate = write_run(tmp_path / "candidate", noise=2)
    for path in RunFolder(candidate).samples_of(60).glob("*.png"):
        with Image.open(path) as picture:
            swapped = Image.merge("RGB", picture.split()[::-1])
        swapped.save(path)
    axis = compare_with(tmp_path, candidate).axes[FUNCTION]
    assert axis.verdict is Verdict.FAIL
    assert "is not the same picture in gpu and npu" in axis.reason


def test_samples_of_other_validation_images_are_not_compared(tmp_path: Path) -> None:
    comparison = judged(tmp_path, images=3)
    assert comparison.axes[IMAGES].verdict is Verdict.NOT_MEASURED
    assert "val-003-real_A.png is among the samples of npu alone" in comparison.axes[FUNCTION].reason


def test_the_worst_of_several_candidates_decides(tmp_path: Path) -> None:
    runs = {
        name: write_run(tmp_path / name, loss_factor=factor) for name, factor in {"a": 1.0, "b": 1.0, "c": 1.4}.items()
    }
    comparison = compare([Leg(name, run) for name, run in runs.items()], "a", tmp_path / "output")
    assert comparison.candidates == ("b", "c")
    assert comparison.axes[PRECISION].verdict is Verdict.FAIL
    assert set(comparison.axes[PRECISION].numbers) == {"b", "c"}


def test_the_reference_need_not_be_the_first_leg(tmp_path: Path) -> None:
    slow, fast = (
        write_run(tmp_path / "slow", sec_per_step=0.3),
        write_run(tmp_path / "fast", sec_per_step=0.1),
    )
    comparison = compare([Leg("fast", fast), Leg("slow", slow)], "slow", tmp_path / "output")
    assert comparison.axes[PERFORMANCE].numbers["fast"]["modelzoo_class"] == "PERFECT"


def test_bounds_that_are_given_are_the_ones_in_force(tmp_path: Path) -> None:
    candidate = write_run(tmp_path / "candidate", loss_factor=1.3)
    comparison = compare_with(tmp_path, candidate, bounds=Bounds(max_loss_ratio=1.5))
    assert comparison.axes[PRECISION].verdict is Verdict.PASS
    assert comparison.axes[PRECISION].bound == {"max_loss_ratio": 1.5}


def test_samples_of_another_folder_can_be_judged(tmp_path: Path) -> None:
    reference, blurred = write_run(tmp_path / "reference"), write_run(tmp_path / "blurred", blur=1.5)
    legs = [Leg("gpu", reference), Leg("npu", reference, samples=RunFolder(blurred).samples_of(60))]
    assert compare(legs, "gpu", tmp_path / "output").axes[IMAGES].verdict is Verdict.FAIL
